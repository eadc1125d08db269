//! What the gate remembers of earlier mail, to be looked at from the command line.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_gate::{Memory, Remembered};
use mailwarden_ledger::{LedgerError, VendorRegister, shown_url};
use mailwarden_settings::Settings;

use crate::failure::Failure;

/// The vendor register as the gate last wrote it; nothing where the gate has never run.
#[derive(Debug)]
pub(crate) struct Recollection(pub(crate) Option<VendorRegister>);

impl Recollection {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let url = settings.vendors_url();
        match VendorRegister::open_existing(&url).await {
            Ok(register) => Ok(Self(Some(register))),
            Err(LedgerError::Absent { .. }) => Ok(Self(None)),
            Err(error) => {
                let what = format!("cannot open the vendor register {}", shown_url(&url));
                Err(Failure::Ledger(what, error))
            }
        }
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
