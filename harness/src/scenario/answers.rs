//! What a bystander answers whoever connects to it, which is what a gateway is fooled by that looks only whether anybody does.

/// What comes of a connection to a bystander that listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answers {
    /// `never-accepts`: the kernel completes the connection, and nobody takes it from the backlog.
    #[default]
    NeverAccepts,
    /// `nothing`: it takes the connection and stays silent until the other side hangs up.
    Nothing,
    /// `closes`: it takes the connection and hangs up.
    Closes,
    /// `http-404`: every request is answered with the status 404.
    Http404,
    /// `healthz-200`: on `/healthz` and `/readyz` it says what a gateway says that is well, elsewhere 404.
    Healthz200,
}

/// The words of a scenario.
pub(crate) const ANSWERS: [(&str, Answers); 5] = [
    ("never-accepts", Answers::NeverAccepts),
    ("nothing", Answers::Nothing),
    ("closes", Answers::Closes),
    ("http-404", Answers::Http404),
    ("healthz-200", Answers::Healthz200),
];

/// What the paths of a healthy gateway are answered with.
const HEALTHY: [(&str, &str); 2] = [
    ("/healthz", r#"{"ok":true,"status":"live"}"#),
    ("/readyz", r#"{"ready":true,"failing":[],"uptimeMs":60000}"#),
];

impl Answers {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        ANSWERS.into_iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }

    /// Whether it speaks HTTP.
    pub(crate) const fn speaks(self) -> bool {
        match self {
            Self::NeverAccepts | Self::Nothing | Self::Closes => false,
            Self::Http404 | Self::Healthz200 => true,
        }
    }

    /// What a request is answered with, before the connection is closed.
    pub(crate) fn reply(self, request: &[u8]) -> Vec<u8> {
        let request = String::from_utf8_lossy(request);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let healthy = HEALTHY.iter().find(|(known, _)| *known == path).map(|(_, body)| *body);
        let (status, body) = match (self, healthy) {
            (Self::Healthz200, Some(body)) => ("200 OK", body),
            (Self::NeverAccepts | Self::Nothing | Self::Closes | Self::Http404 | Self::Healthz200, _) => {
                ("404 Not Found", "")
            }
        };
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;

    #[test]
    fn only_the_health_of_one_that_fakes_it_is_good() {
        for (answers, request, status) in [
            (Answers::Healthz200, "GET /healthz HTTP/1.1\r\n\r\n", "200 OK"),
            (Answers::Healthz200, "GET /readyz HTTP/1.0\r\n\r\n", "200 OK"),
            (Answers::Healthz200, "GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            (Answers::Healthz200, "nonsense", "404 Not Found"),
            (Answers::Http404, "GET /healthz HTTP/1.1\r\n\r\n", "404 Not Found"),
        ] {
            let reply = String::from_utf8(answers.reply(request.as_bytes())).unwrap_or_default();
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answers:?} {request:?}: {reply}");
        }
    }
}
