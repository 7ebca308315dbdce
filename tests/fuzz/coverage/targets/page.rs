#![no_main]

recording_host_fuzz::target!("page");
