//! A policy of many clients, written as an agency would have it: one file each.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// So far apart that neighbours in the load are no neighbours in the policy, and prime, so that all are visited.
const STRIDE: usize = 7_919;

/// The vendor addresses of a policy.
#[derive(Debug)]
pub(crate) struct Vendors {
    pub(crate) clients: usize,
    pub(crate) each: usize,
}

impl Vendors {
    /// The address of a message of the load.
    pub(crate) fn scattered(&self, number: usize) -> String {
        self.address(number.wrapping_mul(STRIDE) % (self.clients * self.each))
    }

    fn address(&self, number: usize) -> String {
        format!("v{number:08}@saas.client{:04}.test", number / self.each)
    }

    /// Writes the files.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        for client in 0..self.clients {
            let path = directory.join(format!("client{client:04}.toml"));
            std::fs::write(&path, self.text(client)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// One client's file.
    pub(crate) fn text(&self, client: usize) -> String {
        let domain = format!("client{client:04}.test");
        let mut text = format!(
            "[client]\nname = \"Client {client}\"\nowner = \"jane@{domain}\"\n\
             emergency_approver = \"jane@{domain}\"\n\
             [[person]]\nname = \"Jane\"\naddresses = [\"jane@{domain}\"]\n\
             [[domain]]\nname = \"{domain}\"\nprofile = \"sending\"\nadmin_queue = \"ops@{domain}\"\n\
             [[scope]]\ndomain = \"saas.{domain}\"\ndeliver_to = \"ops@{domain}\"\n\
             [[mailbox]]\naddress = \"ops@{domain}\"\nkind = \"role\"\nbusiness_owner = \"jane@{domain}\"\n"
        );
        for at in 0..self.each {
            let address = self.address(client * self.each + at);
            let _ = write!(text, "[[vendor]]\naddress = \"{address}\"\norganisation = \"Vendor {at}\"\n");
        }
        text
    }
}
