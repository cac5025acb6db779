//! One way to write the objects down: what is optional stays absent, what is unknown stays.

/// Declares a struct whose optional fields are `Option`s that are left out when absent, and which
/// keeps unknown fields in `extra`. Field names are camelCase on the wire unless renamed.
macro_rules! object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(required { $($(#[$rmeta:meta])* $rfield:ident: $rty:ty,)* })?
            $(optional { $($(#[$ometa:meta])* $ofield:ident: $oty:ty,)* })?
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($($(#[$rmeta])* pub $rfield: $rty,)*)?
            $($(
                $(#[$ometa])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $ofield: Option<$oty>,
            )*)?
            /// Fields that this version doesn't know.
            #[serde(flatten)]
            pub extra: $crate::Extra,
        }
    };
}
