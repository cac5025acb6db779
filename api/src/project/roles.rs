//! Roles of a project. Towline asks Kubernetes who may do what and only keeps these.

object! {
    /// A role.
    pub struct ProjectRole {
        required {
            name: String,
        }
        optional {
            description: String,
            policies: Vec<String>,
            jwt_tokens: Vec<JwtToken>,
            groups: Vec<String>,
        }
    }
}

object! {
    /// Tokens of a role.
    pub struct JwtTokens {
        optional {
            items: Vec<JwtToken>,
        }
    }
}

object! {
    /// A token, without the token.
    pub struct JwtToken {
        required {
            iat: i64,
        }
        optional {
            exp: i64,
            id: String,
        }
    }
}
