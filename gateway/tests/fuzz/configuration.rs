//! Whatever a configuration holds, it ends as settings or as problems that can be shown, and no secret is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gateway::settings::{ConfigFile, Flags, Found, Settings, SettingsError, Surroundings, resolve};
use proptest::prelude::*;

use crate::go_on;
use crate::spoilt::{corpus, spoilt};

fn settle(bytes: &[u8]) -> Result<Settings, SettingsError> {
    let around = Surroundings {
        variables: BTreeMap::new(),
        home: Some(PathBuf::from("/home/u")),
        directory: Some(PathBuf::from("/")),
    };
    let found = |path: &Path| Found { path: path.to_owned(), file: ConfigFile::Bytes(bytes.to_vec()) };
    resolve(&Flags::default(), &around, found)
}

#[test]
fn no_configuration_stops_whoever_reads_it() {
    go_on("configurations", &spoilt(corpus("configurations")), |bytes| {
        match settle(&bytes) {
            Ok(settings) => {
                prop_assert!(settings.state.is_absolute());
            }
            Err(error) => {
                prop_assert!(!error.lines().is_empty());
                prop_assert!(!error.to_string().is_empty() && !error.render().is_empty());
            }
        }
        Ok(())
    });
}
