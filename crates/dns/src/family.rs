//! The families of checks; each is one surface of the catalogue.

/// One family. The order is that of a reader who asks how a domain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Name servers.
    Delegation,
    /// Mail hosts, their addresses and reverse names.
    Mx,
    /// Who may send, by address.
    Spf,
    /// Keys that sign.
    Dkim,
    /// What becomes of forged mail.
    Dmarc,
    /// STARTTLS and certificates of our mail hosts.
    Smtp,
    /// TLSA records.
    Dane,
    /// MTA-STS.
    MtaSts,
    /// TLS-RPT.
    TlsRpt,
    /// Who may issue certificates.
    Caa,
    /// Aliases and services.
    Services,
    /// Required addresses and the catch-all, as our mail host answers.
    Recipients,
    /// Registrar, expiry and status.
    Registration,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Delegation,
        Self::Mx,
        Self::Spf,
        Self::Dkim,
        Self::Dmarc,
        Self::Smtp,
        Self::Dane,
        Self::MtaSts,
        Self::TlsRpt,
        Self::Caa,
        Self::Services,
        Self::Recipients,
        Self::Registration,
    ];

    /// Its name in the surface catalogue.
    #[must_use]
    pub fn surface(self) -> &'static str {
        match self {
            Self::Delegation => "dns.delegation",
            Self::Mx => "dns.mx",
            Self::Spf => "dns.spf",
            Self::Dkim => "dns.dkim",
            Self::Dmarc => "dns.dmarc",
            Self::Smtp => "dns.smtp",
            Self::Dane => "dns.dane",
            Self::MtaSts => "dns.mta-sts",
            Self::TlsRpt => "dns.tls-rpt",
            Self::Caa => "dns.caa",
            Self::Services => "dns.services",
            Self::Recipients => "dns.recipients",
            Self::Registration => "dns.registration",
        }
    }

    /// The family of a surface.
    #[must_use]
    pub fn of(surface: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.surface() == surface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_a_surface_of_the_catalogue() {
        for family in Family::ALL {
            assert!(mailwarden_evidence::surface(family.surface()).is_some(), "{family:?}");
            assert_eq!(Family::of(family.surface()), Some(family));
        }
        let rows = mailwarden_evidence::catalogue().1.iter().filter(|row| row.id.starts_with("dns."));
        assert_eq!(rows.count(), Family::ALL.len());
    }
}
