//! A standing in words and in JSON. The first line names the situation, the last the next safe command.

use serde_json::{Map, Value, json};

use super::{Kind, Standing, port};
use crate::client::{Close, Ended, Look, Refused};
use crate::lock::Certainty;
use crate::refusal::{Holder, HolderLine, Refusal, quoted};
use crate::text::one_line;

/// The option that names the file of a secret, always the last of the options.
const TOKEN_FILE: &str = " --token-file ";

/// Rows of a block: a name and a value each.
pub type Rows = Vec<(String, String)>;

impl Standing {
    /// Who it is, as a fragment that stands in brackets: `pid 4121, refgate`.
    fn who(&self) -> String {
        match self.holder() {
            Some(Holder { pid, name, .. }) if self.kind == Kind::Paused => {
                format!("pid {pid}, {name}, state T")
            }
            Some(Holder { pid, name, .. }) => format!("pid {pid}, {name}"),
            None => "a process that is not visible from here".to_owned(),
        }
    }

    /// The process that holds the state directory.
    pub fn holder(&self) -> Option<&Holder> {
        self.owner()?.refusal.holder.as_deref()
    }

    /// The process that is in the way, if the gateway does not run.
    fn in_the_way(&self) -> Option<&Refusal> {
        let survey = self.survey.as_ref()?;
        port(survey).or_else(|| survey.blocked.first()).map(|blocked| &blocked.refusal)
    }

    fn state(&self) -> String {
        self.aim.claim.as_ref().map_or_else(String::new, |claim| claim.state.display().to_string())
    }

    /// The gateway as the subject of a sentence.
    pub fn subject(&self) -> String {
        match (&self.aim.claim, self.owner()) {
            (Some(_), Some(_)) => format!("the gateway ({})", self.who()),
            (Some(_), None) | (None, _) => format!("the gateway at {}", self.aim.address),
        }
    }

    /// The situation, in a sentence without its full stop.
    pub fn message(&self) -> String {
        let (address, port) = (&self.aim.address, self.aim.address.port());
        let (state, subject) = (self.state(), self.subject());
        match self.kind {
            Kind::None => match &self.aim.claim {
                Some(_) => {
                    let refused =
                        self.in_the_way().map(|refusal| format!("; a start would be refused: {refusal}"));
                    let refused = refused.unwrap_or_default();
                    format!(
                        "no gateway runs: nobody owns {state}, and nothing listens on port {port}{refused}"
                    )
                }
                None => format!("no gateway runs: nothing listens at {address}"),
            },
            Kind::Starting => format!("{subject} is starting: it lets nobody in yet"),
            Kind::Ready => format!("{subject} is ready: it answers on port {port}"),
            Kind::Draining => format!("{subject} is stopping: it takes no new work"),
            Kind::Paused => {
                format!("{subject} is paused: the kernel accepts connections for it, and it answers nothing")
            }
            Kind::Silent => format!("{subject} listens and does not answer{}", self.waited()),
            Kind::Unauthorized => {
                format!("{subject} answers and does not let this client in: {}", self.why_refused())
            }
            Kind::Mismatch => {
                format!("{subject} speaks another version of the protocol: {}", self.why_refused())
            }
            Kind::Refused => format!("{subject} answers and refuses: {}", self.why_refused()),
            Kind::OtherGateway => self.other_gateway(),
            Kind::Foreign => match self.in_the_way().filter(|_| self.owner().is_none()) {
                Some(refusal) => {
                    format!("a program that is no gateway answers at {address}: {}", refusal.what)
                }
                None => format!("what answers at {address} is no gateway: {}", self.why_refused()),
            },
            Kind::Elsewhere => {
                let base = self.base().map_or_else(String::new, |base| format!("; it serves port {base}"));
                format!("{subject} owns {state} and does not serve port {port}{base}")
            }
            Kind::Held => match self.owner() {
                Some(owner) => format!("no gateway answers, and {}", owner.refusal.what),
                None => format!("no gateway answers at {address}"),
            },
            Kind::Unreachable => format!("{address} cannot be reached: {}", self.why_refused()),
        }
    }

    fn other_gateway(&self) -> String {
        let (state, address) = (self.state(), &self.aim.address);
        match (self.owner(), self.in_the_way()) {
            (None, Some(refusal)) => format!("the gateway of {state} does not run: {}", refusal.what),
            (Some(_), _) => format!(
                "the gateway ({}) owns {state}, and another instance answers at {address}: {}",
                self.who(),
                self.hello().and_then(|hello| hello.instance.as_deref()).unwrap_or("it does not say which")
            ),
            (None, None) => format!("a gateway answers at {address} that does not own {state}"),
        }
    }

    /// The base port of the owner, as its record says, if that is of this very instance.
    fn base(&self) -> Option<u16> {
        let record = &self.survey.as_ref()?.last_owner.as_ref()?.record;
        let instance = self.owner()?.instance.as_ref()?;
        (record.instance == *instance && record.base != self.aim.address.port().get()).then_some(record.base)
    }

    fn waited(&self) -> String {
        match &self.rpc {
            Err(Ended::Silent { waiting_for, waited }) => {
                format!(": {waiting_for} did not come within {} ms", waited.as_millis())
            }
            Err(_) | Ok(_) => String::new(),
        }
    }

    fn why_refused(&self) -> String {
        match &self.rpc {
            Ok(_) => "it lets this client in".to_owned(),
            Err(Ended::Nobody) => "nothing listens".to_owned(),
            Err(Ended::Unreachable(why) | Ended::Stranger { answered: why }) => why.clone(),
            Err(Ended::Silent { .. }) => "no answer came in time".to_owned(),
            Err(Ended::Unauthorized(_)) if self.is_kept_back => {
                "no secret was sent, since nothing shows that the owner would hear it".to_owned()
            }
            Err(Ended::Unauthorized(_)) if self.aim.word.is_none() => {
                "it wants a secret, and none is known here".to_owned()
            }
            Err(
                Ended::Starting(refused)
                | Ended::Draining(refused)
                | Ended::Unauthorized(refused)
                | Ended::Mismatch(refused)
                | Ended::Refused(refused),
            ) => refused.message.clone(),
            Err(Ended::Closed(close)) => format!("the connection was closed ({})", in_words(close)),
        }
    }

    /// The next safe command. `ready` is what is next where everything is as it should be.
    pub fn next(&self, ready: &str) -> String {
        let options = &self.aim.options;
        let look = |refusal: Option<&Refusal>| {
            refusal.map_or_else(|| format!("refgate why{options}"), |refusal| refusal.next.clone())
        };
        let inspect = self.holder().map(Holder::inspect);
        match self.kind {
            Kind::None if self.in_the_way().is_some() => format!("refgate why{options}"),
            Kind::None if self.aim.claim.is_some() => format!("refgate gateway start{options}"),
            Kind::None | Kind::Unreachable => format!("refgate gateway probe{options}"),
            Kind::Starting | Kind::Draining => format!("refgate gateway status --require-rpc{options}"),
            Kind::Ready => format!("{ready}{options}"),
            Kind::Paused => look(self.owner().map(|owner| &owner.refusal)),
            // Nothing proves who listens there: whoever it is must not be sent the secret.
            Kind::Unauthorized if self.is_kept_back => format!("refgate why{options}"),
            Kind::Unauthorized => {
                // The file that was named holds the wrong one.
                let others = options.split(TOKEN_FILE).next().unwrap_or_default();
                format!("refgate gateway status --require-rpc{others}{TOKEN_FILE}FILE")
            }
            Kind::Elsewhere => match self.base() {
                Some(base) => format!("refgate gateway status --port {base}{}", without_port(options)),
                None => format!("refgate why{options}"),
            },
            Kind::Silent | Kind::Mismatch | Kind::Refused => {
                inspect.unwrap_or_else(|| format!("refgate gateway probe{options}"))
            }
            Kind::OtherGateway | Kind::Foreign => look(self.in_the_way()),
            Kind::Held => look(self.owner().map(|owner| &owner.refusal)),
        }
    }

    /// What is known, a row each, without the situation and without what is next.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("situation", self.kind.code().to_owned());
        if let (Some(claim), Some(survey)) = (&self.aim.claim, &self.survey) {
            row("state", claim.state.display().to_string());
            let certainty = survey.certainty().as_str();
            let verdict = survey.blocked.first().map_or("free", |blocked| blocked.refusal.code());
            let who = self.holder().map(|holder| format!(": {holder}")).unwrap_or_default();
            row("lock", format!("{verdict}, {certainty}{who}"));
        }
        row("port", format!("{}: {}", self.aim.address, self.listening()));
        if let Some(look) = &self.look {
            row("http", look_in_words(look));
        }
        row("rpc", self.rpc_in_words());
        if let Some(survey) = &self.survey {
            for blocked in survey.blocked.iter().skip(1).take(4) {
                row("also", format!("{}: {}", blocked.refusal.code(), blocked.refusal));
            }
            for unseen in survey.unseen.iter().take(4) {
                row("not seen", unseen.clone());
            }
        }
        rows
    }

    fn listening(&self) -> &'static str {
        match &self.rpc {
            Err(Ended::Nobody) => "nothing listens",
            Err(Ended::Unreachable(_)) => "not reached",
            Err(Ended::Silent { .. }) => "something listens",
            Ok(_) | Err(_) => "something listens and answers",
        }
    }

    fn rpc_in_words(&self) -> String {
        match &self.rpc {
            Ok(hello) => {
                let version = hello.version.as_deref().unwrap_or("unknown");
                let instance = hello.instance.as_deref().unwrap_or("unknown");
                let protocol =
                    hello.protocol.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
                format!("let in: protocol {protocol}, version {version}, instance {instance}")
            }
            Err(Ended::Silent { .. }) => format!("no answer{}", self.waited()),
            Err(_) => self.why_refused(),
        }
    }

    /// The same as an object; `what` names the command.
    pub fn to_map(&self, what: &str, exit: u8, next: &str) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                map.insert(name.to_owned(), value);
            }
        };
        put("event", json!(what));
        put("schema", json!(1));
        put("ok", json!(exit == 0));
        put("exit", json!(exit));
        put("situation", json!(self.kind.code()));
        put("message", json!(self.message()));
        if let (Some(claim), Some(survey)) = (&self.aim.claim, &self.survey) {
            put("state", json!(claim.state.to_string_lossy()));
            let verdict = survey.blocked.first().map_or("free", |blocked| blocked.refusal.code());
            let certainty: Certainty = survey.certainty();
            put("lock", json!({ "verdict": verdict, "certainty": certainty.as_str() }));
        }
        put("port", json!(self.aim.address.port().get()));
        put("url", json!(self.aim.address.to_string()));
        put(
            "holder",
            json!(
                self.holder()
                    .or(self.in_the_way().and_then(|refusal| refusal.holder.as_deref()))
                    .map(HolderLine::of)
            ),
        );
        put("instance", json!(self.owner().and_then(|owner| owner.instance.as_deref())));
        put("http", self.look.as_ref().map(look_as_json).unwrap_or_default());
        put("rpc", self.rpc_as_json());
        put("next", json!(next));
        map
    }

    /// How the attempt to be let in went, as an object.
    pub fn rpc_as_json(&self) -> Value {
        match &self.rpc {
            Ok(hello) => json!({
                "ok": true,
                "protocol": hello.protocol,
                "version": hello.version,
                "instance": hello.instance,
                "scopes": hello.scopes,
            }),
            Err(ended) => json!({ "ok": false, "error": error_as_json(ended, &self.rpc_in_words()) }),
        }
    }
}

/// How a connection ended, in words.
fn in_words(close: &Close) -> String {
    match close.reason.as_str() {
        "" => close.code.to_string(),
        reason => format!("{}: {reason}", close.code),
    }
}

fn error_as_json(ended: &Ended, message: &str) -> Value {
    let (kind, code, close): (&str, Option<&str>, Option<&Close>) = match ended {
        Ended::Nobody => ("refused-connection", None, None),
        Ended::Unreachable(_) => ("unreachable", None, None),
        Ended::Silent { .. } => ("timeout", None, None),
        Ended::Stranger { .. } => ("no-gateway", None, None),
        Ended::Closed(close) => ("closed", None, Some(close)),
        Ended::Starting(refused) => refused_in_short("starting", refused),
        Ended::Draining(refused) => refused_in_short("draining", refused),
        Ended::Unauthorized(refused) => refused_in_short("unauthorized", refused),
        Ended::Mismatch(refused) => refused_in_short("protocol-mismatch", refused),
        Ended::Refused(refused) => refused_in_short("refused", refused),
    };
    let mut error = json!({ "kind": kind, "message": message });
    if let Some(code) = code {
        error["code"] = json!(code);
    }
    if let Some(close) = close {
        error["close"] = json!({ "code": close.code, "reason": close.reason });
    }
    error
}

fn refused_in_short<'a>(
    kind: &'a str,
    refused: &'a Refused,
) -> (&'a str, Option<&'a str>, Option<&'a Close>) {
    let code = if refused.detail().is_empty() { &refused.code } else { refused.detail() };
    (kind, Some(code), refused.close.as_ref())
}

fn look_in_words(look: &Look) -> String {
    match look {
        Look::Nobody => "nothing listens".to_owned(),
        Look::Unreachable(why) => format!("cannot be reached: {why}"),
        Look::Silent => "no answer".to_owned(),
        Look::Stranger(answered) => format!("no gateway: {answered}"),
        Look::Gateway(gateway) => {
            let ready = match gateway.is_ready {
                Some(true) => "ready".to_owned(),
                Some(false) => format!("not ready ({})", gateway.failing.join(", ")),
                None => "does not say whether it is ready".to_owned(),
            };
            let startup = gateway.startup.as_deref().unwrap_or("does not say how far it is");
            format!("live, {ready}, {startup}")
        }
    }
}

fn look_as_json(look: &Look) -> Value {
    match look {
        Look::Nobody | Look::Unreachable(_) | Look::Silent | Look::Stranger(_) => {
            json!({ "live": false, "message": look_in_words(look) })
        }
        Look::Gateway(gateway) => json!({
            "live": true,
            "ready": gateway.is_ready,
            "startup": gateway.startup,
            "failing": gateway.failing,
        }),
    }
}

/// A block of text: the situation, its rows, and what is next.
pub fn block(message: &str, rows: &Rows, next: &str) -> String {
    let mut text = format!("refgate: {}", one_line(message));
    let mut last = "";
    for (name, value) in rows.iter().map(|(name, value)| (name.as_str(), value)) {
        let shown = if name == last { "" } else { name };
        text.push_str(&format!("\n  {shown:<9}  {}", one_line(value)));
        last = name;
    }
    text.push_str(&format!("\n  {:<9}  {}", "next", one_line(next)));
    text
}

/// An option of a command, with a space before it.
pub fn option(name: &str, value: &str) -> String {
    format!(" {name} {}", quoted(value))
}

/// The options of a command, but for its port: where one is given it comes first.
fn without_port(options: &str) -> &str {
    let Some(rest) = options.strip_prefix(" --port ") else { return options };
    rest.find(' ').map_or("", |end| &rest[end..])
}
