//! What the gate remembers of earlier mail, to be looked at from the command line.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_gate::{Memory, Remembered};
use mailwarden_ledger::VendorRegister;
use mailwarden_settings::Settings;

use crate::failure::Failure;

/// The vendor register as the gate last wrote it; nothing where the gate has never run.
#[derive(Debug)]
pub(crate) struct Recollection(pub(crate) Option<VendorRegister>);

impl Recollection {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let url = settings.vendors_url();
        let is_there = url.strip_prefix("sqlite:").is_some_and(|path| std::path::Path::new(path).exists());
        if !is_there {
            return Ok(Self(None));
        }
        let register = VendorRegister::open_existing(&url)
            .await
            .map_err(|error| Failure::Ledger(format!("cannot open the vendor register {url}"), error))?;
        Ok(Self(Some(register)))
    }
}

impl Memory for Recollection {
    fn vendor(&self, address: &Address) -> Option<Remembered> {
        let record = self.0.as_ref()?.vendor(&address.key())?;
        let organisations = record.organisations.iter().map(|(name, known)| (name.as_str(), known.expected));
        Some(Remembered::of(organisations, record.has_more()))
    }

    fn is_newcomer(&self, scope: &str, address: &Address, now: DateTime<Utc>) -> bool {
        let Some(register) = &self.0 else { return false };
        register.newcomers(|newcomers| newcomers.includes(scope, &address.key(), now))
    }

    fn newcomers(&self, scope: &str, now: DateTime<Utc>) -> u32 {
        let Some(register) = &self.0 else { return 0 };
        u32::try_from(register.newcomers(|newcomers| newcomers.count(scope, now))).unwrap_or(u32::MAX)
    }
}
