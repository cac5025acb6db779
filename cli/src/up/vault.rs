//! What the secrets-agent is told of an existing Vault: all that `up` was told.

use std::ffi::OsString;

use secrets_agent::VaultArgs;

/// How the agent reaches Vault and logs in.
pub(super) struct VaultLine {
    pub(super) flags: Vec<(&'static str, OsString)>,
    /// What must not be in a command line, which every user of the machine sees.
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// None where there is no address.
pub(super) fn line(args: &VaultArgs) -> Option<VaultLine> {
    // Taken apart, so that a flag that isn't handed on doesn't compile.
    let VaultArgs {
        vault_addr,
        vault_namespace,
        vault_ca,
        vault_token_file,
        vault_token,
        vault_jwt_role,
        vault_jwt_file,
        vault_jwt_mount,
        vault_approle_role_id,
        vault_approle_secret_id_file,
        vault_approle_mount,
        vault_cert,
        vault_cert_key,
        vault_cert_role,
        vault_cert_mount,
        vault_project_role,
    } = args;
    let text = |text: &String| Some(OsString::from(text));
    let given = |text: &Option<String>| text.as_ref().map(OsString::from);
    let file = |path: &Option<std::path::PathBuf>| path.as_ref().map(OsString::from);
    let flags = [
        ("--vault-addr", Some(vault_addr.as_ref()?.as_str().into())),
        ("--vault-namespace", given(vault_namespace)),
        ("--vault-ca", file(vault_ca)),
        ("--vault-token-file", file(vault_token_file)),
        ("--vault-jwt-role", given(vault_jwt_role)),
        ("--vault-jwt-file", Some(vault_jwt_file.into())),
        ("--vault-jwt-mount", text(vault_jwt_mount)),
        ("--vault-approle-role-id", given(vault_approle_role_id)),
        (
            "--vault-approle-secret-id-file",
            file(vault_approle_secret_id_file),
        ),
        ("--vault-approle-mount", text(vault_approle_mount)),
        ("--vault-cert", file(vault_cert)),
        ("--vault-cert-key", file(vault_cert_key)),
        ("--vault-cert-role", given(vault_cert_role)),
        ("--vault-cert-mount", text(vault_cert_mount)),
        (
            "--vault-project-role",
            vault_project_role
                .as_ref()
                .map(|role| role.to_string().into()),
        ),
    ];
    let token = vault_token.as_ref().filter(|token| !token.is_empty());
    Some(VaultLine {
        flags: flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        environment: token
            .map(|token| ("TOWLINE_VAULT_TOKEN", token.expose().into()))
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        vault: VaultArgs,
    }

    fn of(arguments: &[&str]) -> Option<VaultLine> {
        let line = ["up"].iter().chain(arguments);
        self::line(&Command::try_parse_from(line).unwrap().vault)
    }

    #[test]
    fn the_agent_is_told_what_up_was_told() {
        assert!(of(&[]).is_none());
        let told = of(&[
            "--vault-addr",
            "https://vault:8200",
            "--vault-namespace",
            "team",
            "--vault-approle-role-id",
            "id",
            "--vault-approle-secret-id-file",
            "/s",
        ])
        .unwrap();
        let again: Vec<OsString> = told
            .flags
            .into_iter()
            .flat_map(|(name, value)| [name.into(), value])
            .collect();
        let agent = Command::try_parse_from(["agent".into()].into_iter().chain(again))
            .unwrap()
            .vault;
        assert_eq!(agent.vault_namespace.as_deref(), Some("team"));
        assert_eq!(agent.vault_approle_role_id.as_deref(), Some("id"));
        assert_eq!(agent.vault_cert_mount, "cert");
    }

    #[test]
    fn a_token_is_in_no_command_line() {
        let told = of(&["--vault-addr", "https://vault", "--vault-token", "canary"]).unwrap();
        assert!(told.flags.iter().all(|(_, value)| value != "canary"));
        assert_eq!(told.environment, [("TOWLINE_VAULT_TOKEN", "canary".into())]);
    }
}
