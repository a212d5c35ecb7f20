//! The accounts of `channels.telegram`: which bots this gateway polls and answers for, read strictly, because two that poll one
//! bot take each other's messages.

use std::fmt;
use std::ops::Range;

use data_encoding::HEXLOWER;
use portcullis_os::Port;
use sha2::{Digest as _, Sha256};

use super::auth::{Place, Secrets};
use super::config::Reader;
use super::explain::Given;
use super::scan::Member;
use super::{Excerpt, Origin, Problem};
use crate::auth::Word;

/// At most so many accounts.
const MOST_ACCOUNTS: usize = 32;
/// The longest token, in bytes.
const LONGEST_TOKEN: usize = 256;
/// How long a poll waits unless somebody says otherwise, in seconds.
const POLL_S: u64 = 30;
/// The longest that it may.
const LONGEST_POLL_S: u64 = 50;
/// The account that a channel has which names none.
const DEFAULT: &str = "default";
/// What is expected of an address.
const ADDRESS: &str =
    "an http:// address, that of a local Bot API server or of a proxy, because refgate has no TLS";

/// An account of a channel: a bot, and the service where it is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelAccount {
    /// Its name for programs: at most 64 letters, digits, `_` and `-`.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Whether it is to be polled.
    pub enabled: bool,
    /// The token of the bot; `None`: there is none.
    pub token: Option<Word>,
    /// Where the token comes from, as clients know it: `config`, `tokenFile` or `none`.
    pub source: &'static str,
    /// The service; `None`: none was named, and that of Telegram cannot be reached without TLS.
    pub root: Option<ApiRoot>,
    /// How long a poll waits, in seconds.
    pub poll_s: u64,
}

impl ChannelAccount {
    /// Which bot it is, if it has a token: the number in it, or a digest where there is none. No secret.
    pub fn bot(&self) -> Option<String> {
        let token = self.token.as_ref()?.said();
        let number = token.split(':').next().unwrap_or_default();
        let is_number = (1..=20).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && number.len() < token.len() {
            return Some(number.to_owned());
        }
        let digest = HEXLOWER.encode(&Sha256::digest(token));
        digest.get(..16).map(|digits| format!("x{digits}"))
    }
}

/// Where the service of a bot answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRoot {
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: Port,
    /// What comes before `/botTOKEN`: empty, or a path that begins with a slash and ends without.
    pub path: String,
}

impl ApiRoot {
    /// An address without TLS; `None`: it is none.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.~-".contains(&byte);
        if authority.len() > 255 || path.len() > 255 || !path.bytes().all(is_plain) {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port =
            if port.is_empty() { Port::new(80)? } else { super::port::parse(port.strip_prefix(':')?)? };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let is_host = host.parse::<std::net::Ipv6Addr>().is_ok()
            || !host.is_empty() && !authority.starts_with('[') && host.bytes().all(is_name);
        let path = path.trim_end_matches('/').to_owned();
        is_host.then(|| Self { host: host.to_owned(), port, path })
    }

    /// Host and port, as a request names them.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for ApiRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.authority(), self.path)
    }
}

/// An account as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    id: String,
    name: Option<String>,
    enabled: bool,
    token: Option<(Place, Excerpt)>,
    source: &'static str,
    root: Option<ApiRoot>,
    poll_s: u64,
    at: Excerpt,
}

/// What a channel says for those of its accounts that do not say it themselves.
struct Common {
    enabled: bool,
    root: Option<ApiRoot>,
    poll_s: u64,
}

impl Reader<'_> {
    /// `channels.telegram`.
    pub(super) fn channels(&mut self, top: &[Member]) -> Vec<Written> {
        let Some(channels) = self.object(top, "channels", "`channels`") else { return Vec::new() };
        let Some(place) = self.only_one(&channels, "telegram").map(|telegram| telegram.value.clone()) else {
            return Vec::new();
        };
        let Some(telegram) = self.members_of(&place, "`channels.telegram`") else { return Vec::new() };
        let enabled = self.flag(&telegram);
        let nothing = Common { enabled, root: None, poll_s: POLL_S };
        let own = self.account(DEFAULT, &place, &telegram, top, &nothing);
        let common = Common { enabled, root: own.root.clone(), poll_s: own.poll_s };
        let accounts = self.object(&telegram, "accounts", "`channels.telegram.accounts`").unwrap_or_default();
        let mut written: Vec<Written> = Vec::new();
        for member in &accounts {
            let Some(id) = self.name(member) else { continue };
            let is_id = (1..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if !is_id {
                let expected = "an id of 1 to 64 letters, digits, `_` or `-`";
                self.unfit(&member.key, "the name of an account", expected, "another text");
                continue;
            }
            let Some(members) = self.members_of(&member.value, "an account in `channels.telegram.accounts`")
            else {
                continue;
            };
            if written.len() >= MOST_ACCOUNTS {
                self.unfit(&member.key, "`channels.telegram.accounts`", "at most 32 accounts", "more");
                break;
            }
            if written.iter().all(|other| other.id != id) {
                let enabled = self.flag(&members) && common.enabled;
                let common = Common { enabled, root: common.root.clone(), poll_s: common.poll_s };
                written.push(self.account(&id, &member.value, &members, top, &common));
            }
        }
        // A token beside the accounts is that of the default one.
        let has_default = written.iter().any(|account| account.id == DEFAULT);
        if written.is_empty() || own.token.is_some() && !has_default {
            written.insert(0, own);
        }
        written
    }

    fn account(
        &mut self,
        id: &str,
        value: &Range<usize>,
        members: &[Member],
        top: &[Member],
        common: &Common,
    ) -> Written {
        let named = self.only_one(members, "name").map(|name| name.value.clone());
        let name = named.and_then(|value| self.string(&value, "`name` of an account"));
        let enabled = common.enabled;
        let root = self.only_one(members, "apiRoot").map(|root| root.value.clone());
        let root = match root {
            Some(value) => self.root(&value, enabled),
            None => common.root.clone(),
        };
        // The token of a bot that nobody polls may be anywhere: it is not looked for.
        let is_used = enabled && root.is_some();
        let [token, file] = ["botToken", "tokenFile"].map(|name| self.only_one(members, name).is_some());
        let source = match (token, file) {
            (_, true) => "tokenFile",
            (true, false) => "config",
            (false, false) => "none",
        };
        let token = if is_used { self.token(members, top) } else { None };
        let poll_s = self.only_one(members, "pollSeconds").map(|poll| poll.value.clone());
        let poll_s = poll_s.map_or(common.poll_s, |value| self.seconds(&value));
        let at = self.excerpt(value);
        Written { id: id.to_owned(), name, enabled, token, source, root, poll_s, at }
    }

    fn token(&mut self, members: &[Member], top: &[Member]) -> Option<(Place, Excerpt)> {
        let file = self.only_one(members, "tokenFile").map(|file| file.value.clone());
        let file = file.and_then(|value| Some((self.string(&value, "`tokenFile`")?, self.excerpt(&value))));
        let token = self.secret(members, top, "botToken", "`botToken`");
        match (token, file) {
            (Some(_), Some((_, at))) => {
                let expected = "one with `botToken` or `tokenFile`";
                let what = "an account in `channels.telegram`".into();
                self.problems.push(Problem::WrongType { at, what, expected, found: "one with both" });
                None
            }
            (None, Some((path, at))) => Some((Place::File(path), at)),
            (token, None) => token,
        }
    }

    fn root(&mut self, value: &Range<usize>, is_needed: bool) -> Option<ApiRoot> {
        let text = self.string(value, "`apiRoot`")?;
        let root = ApiRoot::parse(&text);
        if root.is_none() && is_needed {
            let found = if text.starts_with("https:") { "one with TLS" } else { "another text" };
            self.unfit(value, "`apiRoot`", ADDRESS, found);
        }
        root
    }

    fn seconds(&mut self, value: &Range<usize>) -> u64 {
        let number = json5::from_str::<f64>(self.source(value)).ok();
        let whole = (1..=LONGEST_POLL_S).find(|seconds| number == Some(*seconds as f64));
        if whole.is_none() {
            self.unfit(value, "`pollSeconds`", "a whole number from 1 to 50", "another value");
        }
        whole.unwrap_or(POLL_S)
    }

    /// Whether something is enabled: it is, unless it says otherwise.
    fn flag(&mut self, members: &[Member]) -> bool {
        let Some(value) = self.only_one(members, "enabled").map(|flag| flag.value.clone()) else {
            return true;
        };
        let flag = json5::from_str(self.source(&value)).ok();
        if flag.is_none() {
            self.unfit(&value, "`enabled` of a channel", "true or false", "another value");
        }
        flag.unwrap_or(true)
    }

    fn unfit(
        &mut self,
        value: &Range<usize>,
        what: &'static str,
        expected: &'static str,
        found: &'static str,
    ) {
        let at = self.excerpt(value);
        self.problems.push(Problem::WrongType { at, what: what.into(), expected, found });
    }
}

/// The accounts with their tokens. Two that are enabled may not be the same bot.
pub(super) fn choose<R: FnMut(&std::path::Path) -> super::Found>(
    written: Vec<Written>,
    secrets: &mut Secrets<'_, R>,
    notes: &mut Vec<String>,
) -> Vec<ChannelAccount> {
    let mut accounts: Vec<ChannelAccount> = Vec::new();
    for Written { id, name, enabled, token, source, root, poll_s, at } in written {
        let token_at = token.as_ref().map_or_else(|| at.clone(), |(_, at)| at.clone());
        let token = token.and_then(|(place, at)| secrets.word(place, at));
        let is_token = |token: &Word| {
            let text = token.said();
            text.len() <= LONGEST_TOKEN
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
        };
        if token.as_ref().is_some_and(|token| !is_token(token)) {
            let (what, found) = ("the token of a bot".into(), "other signs");
            let expected = "at most 256 letters, digits, `:`, `_` and `-`";
            secrets.report(Problem::WrongType { at: token_at, what, expected, found });
            continue;
        }
        let account = ChannelAccount { id, name, enabled, token, source, root, poll_s };
        if let Some(bot) = account.bot()
            && accounts.iter().any(|other| other.bot().as_ref() == Some(&bot))
        {
            let (what, found) = ("the token of an account".into(), "that of another account");
            let expected = "that of a bot of its own";
            secrets.report(Problem::WrongType { at: token_at, what, expected, found });
            continue;
        }
        notes.extend(note(&account, &at));
        let root = account.root.as_ref().map_or("no apiRoot".to_owned(), ToString::to_string);
        let is_set = if account.source == "none" { "no token" } else { "token set" };
        let shown = match account.enabled {
            true => format!("{}: {is_set}, {root}, {} s", account.id, account.poll_s),
            false => format!("{}: disabled", account.id),
        };
        secrets.explain("channels.telegram", Given::new(shown, Origin::Config(at)));
        accounts.push(account);
    }
    accounts
}

/// What a user may not expect of an account.
fn note(account: &ChannelAccount, at: &Excerpt) -> Option<String> {
    let ChannelAccount { id, enabled: true, .. } = account else { return None };
    match &account.root {
        None if account.source != "none" => Some(format!(
            "{at}: nobody polls the account {id:?} of channels.telegram, because it names no apiRoot: refgate has no TLS for \
             api.telegram.org; name a local Bot API server or a proxy"
        )),
        Some(root) if account.token.is_some() && !super::port::is_loopback(&root.host) => Some(format!(
            "{at}: the token of the account {id:?} of channels.telegram goes to {} in the clear",
            root.host
        )),
        None | Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::{ConfigFile, Flags, Found, Settings, Surroundings, resolve};

    fn settle(config: &str) -> Result<Settings, String> {
        let around = Surroundings { home: Some("/s".into()), ..Surroundings::default() };
        let read = |path: &Path| {
            let bytes = if path.ends_with("openclaw.json") { config } else { "9:file\n" };
            Found { path: path.to_owned(), file: ConfigFile::Bytes(bytes.into()) }
        };
        resolve(&Flags::default(), &around, read)
            .map_err(|error| error.lines().join("\n").replace("/s/.refgate/openclaw.json", "C"))
    }

    fn told(config: &str) -> Vec<String> {
        let settings = settle(config).expect("it is understood");
        let shown = settings.channels.iter().map(|account| {
            let root = account.root.as_ref().map_or("-".to_owned(), ToString::to_string);
            let bot = account.bot().unwrap_or_else(|| "-".to_owned());
            format!("{} {} {bot} {} {root} {}", account.id, account.enabled, account.source, account.poll_s)
        });
        shown.collect()
    }

    #[test]
    fn a_channel_has_accounts_or_is_one_itself() {
        assert_eq!(
            told(
                "{ channels: { telegram: { botToken: '7:x', apiRoot: 'http://localhost:81/api/', pollSeconds: 5 } } }"
            ),
            ["default true 7 config http://localhost:81/api 5"]
        );
        assert_eq!(
            told(
                "{ channels: { telegram: { botToken: '7:x', apiRoot: 'http://[::1]:81', accounts: {\
                 a: { tokenFile: '/t', pollSeconds: 1 }, b: { enabled: false, botToken: '7:x' }, c: {} } } } }"
            ),
            [
                "default true 7 config http://[::1]:81 30",
                "a true 9 tokenFile http://[::1]:81 1",
                "b false - config http://[::1]:81 30",
                "c true - none http://[::1]:81 30",
            ]
        );
        assert_eq!(told("{ channels: { telegram: {} } }"), ["default true - none - 30"]);
        assert_eq!(
            told(
                "{ channels: { telegram: { enabled: false, botToken: 'x', apiRoot: 'https://x' }, other: 7 } }"
            ),
            ["default false - config - 30"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_to_write_and_without_any_secret() {
        let error = |config: &str| settle(config).expect_err("it is wrong");
        insta::assert_snapshot!(
            error(
                "{ channels: { telegram: { botToken: '7:s3cret', apiRoot: 'http://localhost', pollSeconds: 0,\n\
                 enabled: 'no', accounts: { t: { apiRoot: 'https://api.telegram.org' }, 'a b': {}, c: { botToken: '7:an0ther' }, d: { botToken: 'sl/ash' },\n\
                 e: { botToken: '8:x', tokenFile: '/t' } } } } }"
            ),
            @r#"
        C:2:10: `enabled` of a channel must be true or false, not another value; write true or false
        C:1:91: `pollSeconds` must be a whole number from 1 to 50, not another value; write a whole number from 1 to 50
        C:2:42: `apiRoot` must be an http:// address, that of a local Bot API server or of a proxy, because refgate has no TLS, not one with TLS; write an http:// address, that of a local Bot API server or of a proxy, because refgate has no TLS
        C:2:72: the name of an account must be an id of 1 to 64 letters, digits, `_` or `-`, not another text; write an id of 1 to 64 letters, digits, `_` or `-`
        C:3:34: an account in `channels.telegram` must be one with `botToken` or `tokenFile`, not one with both; write one with `botToken` or `tokenFile`
        C:2:98: the token of an account must be that of a bot of its own, not that of another account; write that of a bot of its own
        C:2:128: the token of a bot must be at most 256 letters, digits, `:`, `_` and `-`, not other signs; write at most 256 letters, digits, `:`, `_` and `-`
        "#
        );
        for twice in ["botToken: '9:other'", "tokenFile: '/t'"] {
            let config = format!(
                "{{ channels: {{ telegram: {{ apiRoot: 'http://localhost', accounts: {{ a: {{ tokenFile: '/u' }}, b: {{ {twice} }} }} }} }} }}"
            );
            assert!(error(&config).contains("must be that of a bot of its own"), "{}", error(&config));
        }
    }

    #[test]
    fn a_bot_that_nobody_polls_and_a_token_in_the_clear_are_noted() {
        let notes = |config: &str| settle(config).expect("it is understood").notes.join("\n");
        let text = notes("{ channels: { telegram: { botToken: '7:x' } } }");
        assert!(text.contains("nobody polls the account \"default\""), "{text}");
        // What other programs read there they find by themselves.
        notes("{ channels: { telegram: { botToken: '${TELEGRAM_BOT_TOKEN}' } } }");
        let text = notes("{ channels: { telegram: { botToken: '7:x', apiRoot: 'http://bots.example' } } }");
        assert!(text.contains("goes to bots.example in the clear"), "{text}");
        let text = notes("{ channels: { telegram: { botToken: '7:x', apiRoot: 'http://127.0.0.1:1' } } }");
        assert_eq!(text, "");
    }
}
