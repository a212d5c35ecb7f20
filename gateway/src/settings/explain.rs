//! Where each setting comes from: the first place that says anything decides, and what it overrides is told too.

use std::path::{Path, PathBuf};

use portcullis_os::Port;

use super::paths::{self, Paths};
use super::{CONFIG_PATH, Flags, LOG_DIRECTORY, LOG_NAME, Origin, PROFILE, Profile, STATE_DIR, Surroundings};
use crate::claim::{Listen, PortBlock};

/// What one place says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What, as it may be shown. Of a secret only that it is set.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

impl Given {
    pub(super) fn new(value: impl Into<String>, origin: Origin) -> Self {
        Self { value: value.into(), origin }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name: the key of the configuration, where there is one.
    pub key: &'static str,
    /// What counts.
    pub given: Given,
    /// What was said elsewhere and does not count, in the order in which it would.
    pub overrides: Vec<Given>,
}

/// The settings, in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Explained(Vec<Setting>);

impl Explained {
    /// One more. The first of `given` counts.
    pub(super) fn add(&mut self, key: &'static str, given: Vec<Given>) {
        let mut given = given.into_iter();
        if let Some(first) = given.next() {
            self.0.push(Setting { key, given: first, overrides: given.collect() });
        }
    }

    fn one(&mut self, key: &'static str, value: impl Into<String>, origin: Origin) {
        self.add(key, vec![Given::new(value, origin)]);
    }

    /// The profile, and what follows from it unless somebody says otherwise.
    pub(super) fn places(
        &mut self,
        flags: &Flags,
        around: &Surroundings,
        profile: Option<&Profile>,
        paths: &Paths,
        config: Option<&Path>,
    ) {
        let variable = |name| around.variable(name).map(|value| value.to_string_lossy().into_owned());
        let mut given: Vec<Given> =
            flags.profile.iter().map(|name| Given::new(name, Origin::Flag("--profile"))).collect();
        given.extend(variable(PROFILE).map(|name| Given::new(name, Origin::Variable(PROFILE))));
        if given.is_empty() {
            given.push(Given::new("default", Origin::Default));
        }
        self.add("profile", given);
        let by_profile = || match profile {
            Some(profile) => Origin::Profile(profile.as_str().to_owned()),
            None => Origin::Default,
        };
        let shown = |path: Option<&Path>| path.unwrap_or(Path::new("")).display().to_string();
        let state = shown(paths.state.as_deref());
        let derived = around.home.as_ref().map(|home| home.join(paths::state_name(profile)));
        self.add(
            "state",
            match (around.has(STATE_DIR), profile, derived) {
                (true, Some(_), Some(derived)) => vec![
                    Given::new(state, Origin::Variable(STATE_DIR)),
                    Given::new(shown(Some(&derived)), by_profile()),
                ],
                (true, _, _) => vec![Given::new(state, Origin::Variable(STATE_DIR))],
                (false, _, _) => vec![Given::new(state, by_profile())],
            },
        );
        let origin = match (around.has(CONFIG_PATH), around.has(STATE_DIR)) {
            (true, _) => Origin::Variable(CONFIG_PATH),
            (false, true) => Origin::Variable(STATE_DIR),
            (false, false) => by_profile(),
        };
        self.one("config", shown(config), origin);
    }

    /// The base port, and what follows from it. `given` is what was written, the first of it first.
    pub(super) fn ports(
        &mut self,
        given: Vec<(Port, Origin)>,
        chosen: (Port, &Origin),
        block: Option<PortBlock>,
        pinned: &[Port],
    ) {
        let mut all: Vec<Given> =
            given.into_iter().map(|(port, origin)| Given::new(port.to_string(), origin)).collect();
        if all.is_empty() {
            all.push(Given::new(chosen.0.to_string(), chosen.1.clone()));
        }
        self.add("gateway.port", all);
        if let Some((block, derived)) = block.and_then(|block| Some((block, block.derived()?))) {
            let base = || Origin::Derived("gateway.port");
            self.one("ports.reserved", block.to_string(), base());
            self.one("ports.browserControl", derived.browser_control.to_string(), base());
            self.one("ports.cdp", format!("{}-{}", derived.cdp_first, derived.cdp_last), base());
        }
        if !pinned.is_empty() {
            let pinned: Vec<String> = pinned.iter().map(ToString::to_string).collect();
            self.one("ports.pinned", pinned.join(", "), Origin::Derived("browser"));
        }
    }

    pub(super) fn listen(&mut self, listen: Option<(Listen, Origin)>) {
        let (listen, origin) = listen.unwrap_or((Listen::Loopback, Origin::Default));
        self.one("gateway.bind", listen.to_string(), origin);
    }

    pub(super) fn workspaces(&mut self, workspaces: &[(PathBuf, Origin)]) {
        for (path, origin) in workspaces {
            self.one("workspace", path.display().to_string(), origin.clone());
        }
    }

    /// All of them, and where the log will be.
    pub(super) fn with_log(mut self, state: &Path) -> Vec<Setting> {
        let log = state.join(LOG_DIRECTORY).join(LOG_NAME);
        self.one("log", log.display().to_string(), Origin::Derived("state"));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::{
        CONFIG_PATH, ConfigFile, Flags, Found, GATEWAY_PASSWORD, GATEWAY_PORT, GATEWAY_TOKEN, PROFILE,
        STATE_DIR, Surroundings, WORKSPACE_DIR, resolve,
    };

    /// Each setting in a line: its value, where it comes from, and what it overrides.
    fn explained(flags: &Flags, variables: &[(&'static str, &str)], config: &str) -> String {
        let around = Surroundings {
            variables: variables.iter().map(|(name, value)| (*name, (*value).into())).collect(),
            home: Some("/home/u".into()),
            directory: None,
        };
        let read = |path: &Path| {
            let file = match config {
                "" => ConfigFile::Absent,
                text => ConfigFile::Bytes(text.into()),
            };
            Found { path: path.to_owned(), file }
        };
        let settings = resolve(flags, &around, read).expect("valid");
        let mut text = String::new();
        for setting in settings.explained {
            text += &format!("{}={} <- {}", setting.key, setting.given.value, setting.given.origin);
            for given in setting.overrides {
                text += &format!(" | {} <- {}", given.value, given.origin);
            }
            text.push('\n');
        }
        text
    }

    #[test]
    fn without_a_word_every_setting_is_a_default() {
        insta::assert_snapshot!(explained(&Flags::default(), &[], ""), @"
        profile=default <- the default
        state=/home/u/.refgate <- the default
        config=/home/u/.refgate/openclaw.json <- the default
        gateway.port=18789 <- the default
        ports.reserved=18789-18899 <- gateway.port
        ports.browserControl=18791 <- gateway.port
        ports.cdp=18800-18899 <- gateway.port
        gateway.bind=loopback <- the default
        gateway.auth.token=(not set) <- the default
        gateway.auth.password=(not set) <- the default
        gateway.auth.mode=none <- the default
        log=/home/u/.refgate/logs/gateway.jsonl <- state
        ");
    }

    #[test]
    fn a_flag_counts_before_the_environment_and_that_before_the_configuration_and_each_is_told() {
        let flags = Flags { port: Some("20000".to_owned()), profile: Some("ops".to_owned()) };
        let variables = [
            (PROFILE, "other"),
            (STATE_DIR, "/s"),
            (CONFIG_PATH, "/c"),
            (GATEWAY_PORT, "20001"),
            (WORKSPACE_DIR, "/w"),
            (GATEWAY_TOKEN, "s3cret"),
            (GATEWAY_PASSWORD, "pa55"),
        ];
        let config = "{gateway:{port:20002,bind:'lan',auth:{token:'t0ken',mode:'password'}},\
            agents:{defaults:{workspace:'/v'}},browser:{cdpUrl:'http://localhost:9222'}}";
        insta::assert_snapshot!(explained(&flags, &variables, config), @"
        profile=ops <- --profile | other <- OPENCLAW_PROFILE
        state=/s <- OPENCLAW_STATE_DIR | /home/u/.refgate-ops <- the profile ops
        config=/c <- OPENCLAW_CONFIG_PATH
        gateway.port=20000 <- --port | 20001 <- OPENCLAW_GATEWAY_PORT | 20002 <- /c:1:16
        ports.reserved=20000-20110 <- gateway.port
        ports.browserControl=20002 <- gateway.port
        ports.cdp=20011-20110 <- gateway.port
        ports.pinned=9222 <- browser
        gateway.bind=every address <- /c:1:27
        gateway.auth.token=(set, from OPENCLAW_GATEWAY_TOKEN) <- OPENCLAW_GATEWAY_TOKEN | (set, from the configuration) <- /c:1:45
        gateway.auth.password=(set, from OPENCLAW_GATEWAY_PASSWORD) <- OPENCLAW_GATEWAY_PASSWORD
        gateway.auth.mode=password <- /c:1:58
        workspace=/w <- OPENCLAW_WORKSPACE_DIR
        workspace=/v <- /c:1:99
        log=/s/logs/gateway.jsonl <- state
        ");
    }

    #[test]
    fn a_profile_of_the_environment_isolates_as_fully_as_one_of_the_command_line() {
        let by_flag = Flags { port: None, profile: Some("ops".to_owned()) };
        let by_flag = explained(&by_flag, &[], "");
        let by_variable = explained(&Flags::default(), &[(PROFILE, "ops")], "");
        assert_eq!(by_flag.replace("<- --profile", "<- OPENCLAW_PROFILE"), by_variable);
        insta::assert_snapshot!(by_variable, @"
        profile=ops <- OPENCLAW_PROFILE
        state=/home/u/.refgate-ops <- the profile ops
        config=/home/u/.refgate-ops/openclaw.json <- the profile ops
        gateway.port=55291 <- the profile ops
        ports.reserved=55291-55401 <- gateway.port
        ports.browserControl=55293 <- gateway.port
        ports.cdp=55302-55401 <- gateway.port
        gateway.bind=loopback <- the default
        gateway.auth.token=(not set) <- the default
        gateway.auth.password=(not set) <- the default
        gateway.auth.mode=none <- the default
        log=/home/u/.refgate-ops/logs/gateway.jsonl <- state
        ");
    }
}
