//! What a client may do.

/// The names of the scopes.
pub(crate) mod scope {
    /// Everything.
    pub(crate) const ADMIN: &str = "operator.admin";
    /// To look.
    pub(crate) const READ: &str = "operator.read";
    /// To let devices in.
    pub(crate) const PAIRING: &str = "operator.pairing";
    /// To make agents work.
    pub(crate) const WRITE: &str = "operator.write";
}

/// At most so many scopes are remembered of what a client asks for.
const MOST: usize = 64;
/// A longer name is that of no scope, in bytes.
const LONGEST: usize = 256;

/// Every name above.
const NAMED: [&str; 4] = [scope::ADMIN, scope::READ, scope::PAIRING, scope::WRITE];

/// The scopes that a client has been granted, as it has named them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    names: Vec<String>,
    /// Which of [`NAMED`] they cover: that is asked of everybody for each event.
    covered: [bool; NAMED.len()],
}

impl Scopes {
    /// Those that were asked for, each once.
    pub(crate) fn of(asked: &[String]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for scope in asked {
            if names.len() < MOST && scope.len() <= LONGEST && !names.contains(scope) {
                names.push(scope.clone());
            }
        }
        let covered = NAMED.map(|needed| cover(&names, needed));
        Self { names, covered }
    }

    /// Whether a method that needs this scope may be called.
    pub(crate) fn allow(&self, needed: &str) -> bool {
        let named = NAMED.iter().position(|name| *name == needed);
        named.map_or_else(|| cover(&self.names, needed), |number| self.covered[number])
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.names
    }
}

fn cover(names: &[String], needed: &str) -> bool {
    let has = |scope: &str| names.iter().any(|own| own == scope);
    has(needed) || has(scope::ADMIN) || (needed == scope::READ && has(scope::WRITE))
}

#[cfg(test)]
mod tests {
    use super::{Scopes, scope};

    #[test]
    fn a_scope_covers_itself_and_what_is_less() {
        for (has, needed, expected) in [
            (vec![], scope::READ, false),
            (vec![scope::READ], scope::READ, true),
            (vec![scope::READ], scope::WRITE, false),
            (vec![scope::WRITE], scope::READ, true),
            (vec![scope::WRITE], "operator.pairing", false),
            (vec!["operator.pairing"], scope::READ, false),
            (vec![scope::ADMIN], "operator.pairing", true),
            (vec!["operator"], scope::READ, false),
            (vec!["another"], "another", true),
            (vec![scope::ADMIN], "another", true),
            (vec![scope::WRITE], "another", false),
        ] {
            let asked: Vec<String> = has.iter().map(|scope| (*scope).to_owned()).collect();
            assert_eq!(Scopes::of(&asked).allow(needed), expected, "{has:?} for {needed}");
        }
    }
}
