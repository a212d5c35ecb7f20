//! Which gateway is meant, from the command line: that of the settings, or whoever answers at an address.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::target::divide;
use super::{Desk, Unfit, edge};
use crate::auth::Word;
use crate::claim::Claim;
use crate::client::{Address, Deadlines};
use crate::log::Format;
use crate::settings::{self, Flags, Settings, SettingsError};
use crate::standing::{Aim, option};

/// A gateway by its settings.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Own {
    /// The base port, 1 to 65425
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) port: Option<String>,

    /// The profile: a state directory and a port of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// Say it as JSON on stdout, one object a line, and not as text
    #[arg(long)]
    pub(super) json: bool,
}

/// How it is reached.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Way {
    /// A file whose first line is the token or the password
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,

    /// The longest that is waited for any one answer, in milliseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(super) timeout_ms: Option<u64>,
}

/// A gateway by its settings, or by its address.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Reach {
    #[command(flatten)]
    pub(super) own: Own,

    /// Ask whoever answers there, as ws://HOST:PORT, and not the gateway of these settings. Another host needs
    /// --token-file: what is secret here is not sent there
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,

    #[command(flatten)]
    pub(super) way: Way,
}

impl Own {
    pub(super) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }

    /// The settings of the gateway.
    pub(super) fn settle(&self, desk: &Desk) -> Result<Settings, Unfit> {
        let flags = Flags { port: self.port.clone(), profile: self.profile.clone() };
        let around = settings::edge::surroundings();
        let settings = settings::resolve(&flags, &around, settings::edge::read).map_err(|error| {
            desk.log.unsettled(&error);
            Unfit(SettingsError::EXIT_STATUS)
        })?;
        for note in &settings.notes {
            desk.log.note(note);
        }
        Ok(settings)
    }

    /// The options that another command needs in order to mean the same.
    pub(super) fn options(&self) -> String {
        let port = self.port.as_deref().map(|port| option("--port", port));
        let profile = self.profile.as_deref().map(|profile| option("--profile", profile));
        [port, profile].into_iter().flatten().collect()
    }

    /// The gateway of these settings, and what it owns.
    pub(super) fn aim(&self, desk: &Desk, word: Option<Word>) -> Result<(Aim, Claim), Unfit> {
        let settings = self.settle(desk)?;
        let word = word.or_else(|| settings.word.clone());
        let claim = divide(settings).0;
        let address = Address::loopback(claim.ports.base());
        let aim = Aim { claim: Some(claim.clone()), address, word, options: self.options() };
        Ok((aim, claim))
    }
}

impl Way {
    pub(super) fn deadlines(&self) -> Deadlines {
        self.timeout_ms.map_or_else(Deadlines::patient, |longest| {
            let longest = Duration::from_millis(longest);
            Deadlines::within(longest).with_call(longest)
        })
    }

    /// The secret that was given for this.
    pub(super) fn word(&self, desk: &Desk) -> Result<Option<Word>, Unfit> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let (word, note) = edge::secret(path)
            .map_err(|why| desk.misused(&why, "--token-file takes a file whose first line is the secret"))?;
        if let Some(note) = note {
            desk.log.note(&note);
        }
        Ok(Some(word))
    }

    fn options(&self) -> String {
        let path = self.token_file.as_ref().map(|path| option("--token-file", &path.to_string_lossy()));
        path.unwrap_or_default()
    }

    /// Whoever answers at an address.
    pub(super) fn aim(&self, desk: &Desk, own: &Own, url: &str) -> Result<Aim, Unfit> {
        let address = Address::parse(url)
            .map_err(|error| desk.misused(&error.to_string(), "for instance --url ws://127.0.0.1:18789"))?;
        let word = match self.word(desk)? {
            Some(word) => Some(word),
            None if address.is_this_machine() => own.settle(desk)?.word,
            None => {
                let what =
                    format!("{address} is another host, and no secret was given for it: nothing was sent");
                return Err(desk.misused(&what, "give the secret of that gateway: --token-file FILE"));
            }
        };
        let options = format!("{}{}", option("--url", url), self.options());
        Ok(Aim { claim: None, address, word, options })
    }
}

impl Reach {
    pub(super) const fn format(&self) -> Format {
        self.own.format()
    }

    pub(super) fn aim(&self, desk: &Desk) -> Result<Aim, Unfit> {
        match &self.url {
            Some(url) => self.way.aim(desk, &self.own, url),
            None => {
                let (aim, _) = self.own.aim(desk, self.way.word(desk)?)?;
                Ok(Aim { options: format!("{}{}", aim.options, self.way.options()), ..aim })
            }
        }
    }
}
