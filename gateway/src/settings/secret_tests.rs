//! A secret that lies elsewhere is found, or nobody gets in and it is said why.

use std::path::Path;

use super::{
    ConfigFile, Flags, Found, GATEWAY_TOKEN, STATE_DIR, Settings, SettingsError, Surroundings, resolve,
};
use crate::auth::{Auth, Secret};

/// The settings by a configuration in which `secrets.providers.gateway` is the file `/s/token`, and by what is there.
fn settle(token: &str, there: Option<&[u8]>, variable: Option<&str>) -> Result<Settings, SettingsError> {
    let providers = "secrets:{providers:{gateway:{source:'file',mode:'singleValue',path:'~/token'},\
                     other:{source:'exec',command:'x'}}}";
    let config = format!("{{gateway:{{auth:{{{token}}}}},{providers}}}");
    let mut around = Surroundings { home: Some("/s".into()), ..Surroundings::default() };
    around.variables.insert(STATE_DIR, "/s".into());
    if let Some(token) = variable {
        around.variables.insert(GATEWAY_TOKEN, token.into());
    }
    resolve(&Flags::default(), &around, |path: &Path| {
        let bytes = match path.to_str() {
            Some("/s/openclaw.json") => Some(config.as_bytes()),
            Some("/s/token") => there,
            _ => None,
        };
        let file = bytes.map_or(ConfigFile::Absent, |bytes| ConfigFile::Bytes(bytes.to_vec()));
        Found { path: path.to_owned(), file }
    })
}

const REFERENCE: &str = "token:{source:'file',provider:'gateway',id:'value'}";

#[test]
fn a_token_can_lie_in_a_file_of_its_own() {
    for there in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        let settings = settle(REFERENCE, Some(there.as_bytes()), None).expect("valid");
        assert_eq!(settings.auth, Auth::Token(Secret::new("s3cret")), "{there:?}");
    }
    let settings = settle(REFERENCE, None, Some("other")).expect("the file is not needed");
    assert_eq!(settings.auth, Auth::Token(Secret::new("other")));
}

#[test]
fn a_secret_that_is_not_found_lets_nobody_in_and_says_why() {
    let long = [b'x'; 5000];
    for (token, there, expected) in [
        (REFERENCE, None, "the secret in \"/s/token\" cannot be read: it is not there"),
        (REFERENCE, Some(&b"\n"[..]), "cannot be read: it is empty"),
        (REFERENCE, Some(b"\xff"), "cannot be read: it is not text"),
        (REFERENCE, Some(&long), "cannot be read: it is longer than 4096 bytes"),
        (
            "token:{source:'file',provider:'nobody',id:'value'}",
            None,
            "`gateway.auth.token` refers to \"nobody\", which `secrets.providers` does not have",
        ),
        (
            "token:{source:'file',provider:'other',id:'value'}",
            None,
            "refers to \"other\", which is no file that holds one secret",
        ),
        (
            "mode:'password',password:{source:'env',provider:'default',id:'TOKEN'}",
            None,
            "`gateway.auth.password` is a reference of a kind that refgate does not follow",
        ),
        ("token:'${TOKEN}'", None, "`gateway.auth.token` names a variable, and refgate looks up none"),
        ("token:'$TOKEN'", None, "`gateway.auth.token` names a variable"),
        ("mode:'none',tokn:'x'", None, "there is no key \"tokn\" in `gateway.auth`; did you mean \"token\"?"),
    ] {
        let lines = settle(token, there, None).expect_err(token).lines();
        assert!(lines.first().is_some_and(|line| line.contains(expected)), "{token}: {lines:?}");
    }
}

#[test]
fn a_secret_that_only_begins_like_a_variable_is_one() {
    for token in ["$", "$a", "${A", "$A b", "A$B"] {
        let settings = settle(&format!("token:'{token}'"), None, None).expect("valid");
        assert_eq!(settings.auth, Auth::Token(Secret::new(token)), "{token}");
    }
}
