//! Inputs as public reports describe them: one odd thing costs at most that one thing, and what is
//! lost is named. A contact center of our own making serves each of them, and the program as a user
//! runs it exports, verifies and reports it.

#[path = "cases/aside.rs"]
mod aside;
#[path = "cases/clock.rs"]
mod clock;
#[path = "cases/cloud.rs"]
mod cloud;
#[path = "cases/endless.rs"]
mod endless;
#[path = "cases/hostile_api.rs"]
mod hostile_api;
#[path = "cases/links.rs"]
mod links;
#[path = "cases/moved.rs"]
mod moved;
#[path = "cases/network.rs"]
pub(crate) mod network;
#[path = "cases/occupied.rs"]
mod occupied;
#[path = "cases/one_bad.rs"]
mod one_bad;
#[path = "cases/repair.rs"]
mod repair;
#[path = "cases/too_large.rs"]
mod too_large;
#[path = "cases/unread.rs"]
mod unread;

pub(crate) use cloud::{Answer, Ask, Cloud, Recording, row};
