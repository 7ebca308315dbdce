//! The configuration of an export from a simulator to a folder, as a user would write it.

use std::{fmt, path::Path};

use genesys_simulator::{Dialect, Simulator};

/// The parts of such a configuration; displayed as YAML.
pub(crate) struct Trial<'a> {
    /// The name of the source.
    pub(crate) name: &'a str,
    /// The simulator that it exports from.
    pub(crate) simulator: &'a Simulator,
    /// How the simulator speaks the batch API.
    pub(crate) dialect: Dialect,
    /// Where the queue is.
    pub(crate) data_dir: &'a Path,
    /// Where the recordings go.
    pub(crate) output: &'a Path,
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let simulator = self.simulator;
        let (from, until) = simulator.organization().interval();
        let dialect = match self.dialect {
            Dialect::Cloud => "cloud",
            Dialect::Guide => "guide",
        };
        writeln!(f, "data_dir: {}", quoted(&self.data_dir.display()))?;
        writeln!(f, "sources:\n  {}:\n    type: genesys_cloud", self.name)?;
        writeln!(f, "    auth:")?;
        writeln!(f, "      client_id: {}", simulator.client_id())?;
        writeln!(f, "      client_secret: {}", simulator.client_secret())?;
        writeln!(
            f,
            "    allow_private_addresses: true    # the simulator is on this machine"
        )?;
        writeln!(f, "    options:")?;
        writeln!(f, "      api_url: {}", simulator.api_url())?;
        writeln!(f, "      login_url: {}", simulator.login_url())?;
        writeln!(
            f,
            "      media_origins: [{}]",
            quoted(&simulator.media_url())
        )?;
        writeln!(f, "      dialect: {dialect}")?;
        writeln!(f, "      interval: {from}/{until}")?;
        writeln!(f, "sinks:\n  files:\n    type: filesystem")?;
        writeln!(f, "    path: {}", quoted(&self.output.display()))
    }
}

/// A string as YAML and JSON write it.
fn quoted(text: &impl fmt::Display) -> serde_json::Value {
    text.to_string().into()
}
