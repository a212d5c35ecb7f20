//! What may be on a disk after a loss of power, model by model, and what has nothing to do with one.

mod disk;
mod ext4;
#[path = "../kernel_machine/mod.rs"]
mod kernel_machine;
mod machine;
mod models;
mod patterns;
