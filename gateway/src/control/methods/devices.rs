//! Which devices may come, for whoever decides that.

use super::super::pairing;
use super::super::work::Work;
use super::{Call, Done};
use crate::protocol::{Field, Shape};

/// A name: what is longer is none that was given here, and nothing long waits for whoever decides.
const NAME: Shape = Shape::Text { least: 1, most: 256 };
pub(super) const REQUEST: &[Field] = &[Field::required("requestId", NAME)];
pub(super) const DEVICE: &[Field] = &[Field::required("deviceId", NAME)];
pub(super) const TOKEN: &[Field] = &[Field::required("deviceId", NAME), Field::required("role", NAME)];

pub(super) fn list(call: &Call<'_>) -> Done {
    pairing::list(&mut call.control.world(), call.now).into()
}

pub(super) fn approve(call: &Call<'_>) -> Done {
    Done::Work(Work::Approve { request: call.text("requestId").to_owned(), by: call.client.scopes.clone() })
}

pub(super) fn reject(call: &Call<'_>) -> Done {
    Done::Work(Work::Reject { request: call.text("requestId").to_owned() })
}

pub(super) fn remove(call: &Call<'_>) -> Done {
    Done::Work(Work::Remove { device: call.text("deviceId").to_owned() })
}

pub(super) fn revoke(call: &Call<'_>) -> Done {
    Done::Work(Work::Revoke { device: call.text("deviceId").to_owned(), role: call.text("role").to_owned() })
}
