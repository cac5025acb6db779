//! A script after parsing. Names of local variables are resolved: each has a slot of its own in its function.

/// All functions of a script and what they have in common.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The last one is the script itself.
    pub(crate) functions: Vec<Prototype>,
    pub(crate) constants: Vec<Constant>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Number(f64),
    Text(Box<[u8]>),
}

/// Index into [`Chunk::constants`].
pub(crate) type ConstantId = usize;
/// Index into [`Chunk::functions`].
pub(crate) type FunctionId = usize;
/// Which local variable of a function.
pub(crate) type Slot = usize;

#[derive(Debug)]
pub(crate) struct Prototype {
    /// The first slots are the parameters'.
    pub(crate) parameters: usize,
    pub(crate) variadic: bool,
    /// One entry a slot: whether an inner function uses the variable too.
    pub(crate) shared: Vec<bool>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) body: Block,
}

/// Where a function finds a variable of the function around it when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Local(Slot),
    Captured(usize),
}

pub(crate) type Block = Vec<Statement>;

#[derive(Debug)]
pub(crate) enum Statement {
    Call(Call),
    Local {
        slots: Vec<Slot>,
        values: Vec<Expression>,
    },
    LocalFunction {
        slot: Slot,
        function: FunctionId,
    },
    Assign {
        targets: Vec<Target>,
        values: Vec<Expression>,
    },
    Do(Block),
    While {
        condition: Expression,
        body: Block,
    },
    Repeat {
        body: Block,
        until: Expression,
    },
    If {
        branches: Vec<(Expression, Block)>,
        otherwise: Block,
    },
    Count {
        slot: Slot,
        /// First value, last value, step.
        range: Box<[Expression; 3]>,
        body: Block,
        line: u32,
    },
    Iterate {
        slots: Vec<Slot>,
        values: Vec<Expression>,
        body: Block,
        line: u32,
    },
    Return(Vec<Expression>),
    Break,
    Goto(ConstantId),
    Label(ConstantId),
}

#[derive(Debug)]
pub(crate) enum Target {
    Local(Slot),
    Captured(usize),
    Global(ConstantId),
    Index {
        table: Expression,
        key: Expression,
        line: u32,
    },
}

#[derive(Debug)]
pub(crate) enum Expression {
    Nil,
    Boolean(bool),
    Constant(ConstantId),
    Varargs,
    Local(Slot),
    Captured(usize),
    Global(ConstantId),
    Index {
        of: Box<(Expression, Expression)>,
        line: u32,
    },
    Call(Box<Call>),
    Function(FunctionId),
    Unary {
        operator: Unary,
        operand: Box<Expression>,
        line: u32,
    },
    Binary {
        operator: Binary,
        operands: Box<(Expression, Expression)>,
        line: u32,
    },
    And(Box<(Expression, Expression)>),
    Or(Box<(Expression, Expression)>),
    Table(Vec<Field>),
    /// In parentheses: one value, however many there are inside.
    One(Box<Expression>),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) callee: Callee,
    pub(crate) arguments: Vec<Expression>,
    pub(crate) line: u32,
}

#[derive(Debug)]
pub(crate) enum Callee {
    Function(Expression),
    Method(Expression, ConstantId),
}

#[derive(Debug)]
pub(crate) enum Field {
    /// At the next place of the list.
    Listed(Expression),
    Keyed(Expression, Expression),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Minus,
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Concat,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}
