//! One domain, looked at with what is known so far.

use chrono::{DateTime, Utc};

use crate::answers::Answers;
use crate::case::{Case, Evaluation};
use crate::family::Family;
use crate::subject::{Role, Subject};
use crate::{caa, dkim, dmarc, mta_sts, mx, recipients, registration, services, spf, tls_rpt, transport};

/// Most rounds of asking. An SPF chain that receivers give up on is shorter.
pub const MAX_ROUNDS: usize = 60;

/// Looks at a domain with the answers there are; what they do not tell is wanted. Ask for it and look again,
/// until nothing is wanted or [`MAX_ROUNDS`] are over: what is still wanted then is a gap.
#[must_use]
pub fn evaluate(subject: &Subject, families: &[Family], answers: &Answers, now: DateTime<Utc>) -> Evaluation {
    let mut case = Case::new(subject, answers, now);
    for family in families.iter().filter(|family| concerns(**family, subject)) {
        case.family(*family, |case| look(*family, case));
    }
    case.finish()
}

/// Whether a family has anything to say of a domain; what does not concern it needs no coverage.
#[must_use]
pub fn concerns(family: Family, subject: &Subject) -> bool {
    let ours = subject.role != Role::Recovery;
    match family {
        Family::Registration => subject.is_organisation(),
        Family::Delegation => subject.is_organisation() && ours,
        Family::Dkim | Family::Services | Family::Caa => ours && !subject.is_wildcard,
        Family::MtaSts | Family::TlsRpt => subject.receives() && !subject.is_wildcard,
        Family::Smtp | Family::Dane | Family::Recipients => subject.receives(),
        Family::Mx | Family::Spf | Family::Dmarc => ours,
    }
}

fn look(family: Family, case: &mut Case<'_>) {
    match family {
        Family::Delegation => services::delegation(case),
        Family::Mx => mx::look(case),
        Family::Spf => spf::look(case),
        Family::Dkim => dkim::look(case),
        Family::Dmarc => dmarc::look(case),
        Family::Smtp => transport::look(case),
        Family::Dane => transport::dane(case),
        Family::MtaSts => mta_sts::look(case),
        Family::TlsRpt => tls_rpt::look(case),
        Family::Caa => caa::look(case),
        Family::Services => services::look(case),
        Family::Recipients => recipients::look(case),
        Family::Registration => registration::look(case),
    }
}
