//! Secrets out of systemd credentials, files and the environment.

use std::{
    env, fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path as FilePath, PathBuf},
};

use secrecy::SecretString;

/// More than any credential has.
const LARGEST_BYTES: u64 = 16 * 1024;

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file, relative to the configuration's folder.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// What looking for a secret came to.
#[derive(Debug)]
pub(super) enum Found {
    /// Here it is.
    Secret(SecretString),
    /// Here it is, and something about it is odd: what, and the cure.
    Doubtful(SecretString, String, String),
    /// Not looked for, and why that is worth saying.
    NotHere(Option<String>),
    /// It can't be had: why, and the cure.
    Failed(String, String),
}

/// Whether secrets are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// All of them.
    Needed,
    /// All but systemd credentials when this is not the service: those are only noted. For `stockd check` by hand.
    IfHere,
    /// None: connections are left out. For commands that talk to the ledger only.
    Unread,
}

/// Looks for a secret; `folder` is that of the configuration.
pub(super) fn find(place: &Place, folder: &FilePath, secrets: Secrets) -> Found {
    if secrets == Secrets::Unread {
        return Found::NotHere(None);
    }
    match place {
        Place::Env(name) => match env::var(name) {
            Ok(value) => usable(&value, &format!("the environment variable {name}")),
            Err(_) => Found::Failed(
                format!("the environment variable {name} is not set"),
                format!(
                    "set {name} for the service, or use {{ credential = \"...\" }} or {{ file = \"...\" }}"
                ),
            ),
        },
        Place::File(path) => file(&folder.join(path), true),
        Place::Credential(name) => match env::var_os("CREDENTIALS_DIRECTORY") {
            Some(directory) => file(&PathBuf::from(directory).join(name), false),
            None if secrets == Secrets::IfHere => Found::NotHere(Some(format!(
                "the credential `{name}` was not checked: only the service can read it"
            ))),
            None => Found::Failed(
                format!("there is no credential `{name}`: $CREDENTIALS_DIRECTORY is not set"),
                format!("start stockd from its unit with LoadCredential={name}:/path/to/the/secret"),
            ),
        },
    }
}

fn file(path: &FilePath, judge_permissions: bool) -> Found {
    let shown = path.display();
    let (text, mode) = match read(path) {
        Ok(read) => read,
        Err(error) => {
            return Found::Failed(
                format!("the secret's file {shown} can't be read: {error}"),
                "put the secret there, readable for the user that runs stockd".to_owned(),
            );
        }
    };
    match usable(&text, &format!("the file {shown}")) {
        Found::Secret(secret) if judge_permissions && mode & 0o077 != 0 => Found::Doubtful(
            secret,
            format!("the secret's file {shown} is open to others than its owner"),
            format!("chmod 600 {shown}"),
        ),
        found => found,
    }
}

fn read(path: &FilePath) -> io::Result<(String, u32)> {
    let file = fs::File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    file.take(LARGEST_BYTES).read_to_string(&mut text)?;
    Ok((text, about.permissions().mode()))
}

fn usable(text: &str, whence: &str) -> Found {
    let value = text.strip_suffix('\n').unwrap_or(text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Found::Failed(format!("{whence} is empty"), "put the secret there".to_owned());
    }
    if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Found::Failed(
            format!("{whence} has blanks or line breaks inside the secret"),
            "leave nothing there but the secret; one line break at the end is allowed".to_owned(),
        );
    }
    Found::Secret(SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn written(name: &str, text: &str, mode: u32) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, Place::File(name.into()))
    }

    #[test]
    fn one_line_break_at_the_end_is_no_part_of_a_secret() {
        for text in ["SESAME", "SESAME\n", "SESAME\r\n"] {
            let (folder, place) = written("token", text, 0o600);
            let Found::Secret(secret) = find(&place, folder.path(), Secrets::Needed) else {
                panic!("{text:?}")
            };
            assert_eq!(secret.expose_secret(), "SESAME");
        }
    }

    #[test]
    fn an_empty_or_broken_secret_is_refused_without_being_shown() {
        for text in ["", "\n", "SES AME", "SES\nAME", "SESAME\n\n"] {
            let (folder, place) = written("token", text, 0o600);
            let found = find(&place, folder.path(), Secrets::Needed);
            assert!(matches!(found, Found::Failed(..)), "{text:?}");
            assert!(!format!("{found:?}").contains("AME"));
        }
    }

    #[test]
    fn a_file_open_to_others_is_pointed_out() {
        let (folder, place) = written("token", "SESAME", 0o644);
        let found = find(&place, folder.path(), Secrets::Needed);
        assert!(matches!(&found, Found::Doubtful(_, _, cure) if cure.starts_with("chmod 600")));
        assert!(!format!("{found:?}").contains("SESAME"));
    }

    #[test]
    fn nothing_is_read_where_no_secrets_are_wanted() {
        let place = Place::File("absent".into());
        assert!(matches!(find(&place, FilePath::new("/"), Secrets::Unread), Found::NotHere(None)));
    }
}
