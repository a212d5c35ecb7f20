//! What a scenario, a target and a profile file may say: what is read, what is refused and how that is told, how a file is laid
//! out and written, and that its documentation and its schema are true.

mod authoring;
mod examples;
mod fuzz;
mod layout;
mod load;
mod malformed;
mod meaning;
mod mistakes;
mod plan_schema;
mod problems;
#[path = "../common/program.rs"]
mod program;
mod schema;
mod shipped;
mod spoilt;
mod target;
mod target_schema;
mod told;
mod valid;
#[path = "../reports/validator.rs"]
mod validator;
mod verbs;
mod world;
