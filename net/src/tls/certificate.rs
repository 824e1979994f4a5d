//! What a certificate says about its holder and its end.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

/// The names in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS subject alternative names.
    pub dns: Vec<String>,
    /// URI subject alternative names; SPIFFE ids are among them.
    pub uris: Vec<String>,
}

impl Names {
    /// Reads the subject alternative names of a certificate that has been verified. Empty for what cannot be parsed.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return Names::default() };
        Names {
            dns: parsed.valid_dns_names().map(str::to_owned).collect(),
            uris: parsed.valid_uri_names().map(str::to_owned).collect(),
        }
    }

    /// The SPIFFE id, if there is exactly one (a certificate with several is not valid SPIFFE).
    pub fn spiffe_id(&self) -> Option<&str> {
        let mut ids = self.uris.iter().filter(|uri| uri.starts_with("spiffe://"));
        let first = ids.next()?;
        if ids.next().is_some() { None } else { Some(first) }
    }
}

/// When a certificate ends. `None` for what cannot be parsed.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    const SEQUENCE: u8 = 0x30;
    let (certificate, _) = element(certificate.as_ref(), SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&0xa0) {
        rest = skip(rest)?; // version
    }
    for _serial_algorithm_issuer in 0..3 {
        rest = skip(rest)?;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let after = skip(validity)?;
    match after.first()? {
        0x17 => {
            let (text, _) = element(after, 0x17)?;
            let year: u64 = digits(text.get(..2)?)?;
            // RFC 5280 section 4.1.2.5.1.
            let year = if year >= 50 { 1900 + year } else { 2000 + year };
            moment(year, text.get(2..)?)
        }
        _ => {
            let (text, _) = element(after, 0x18)?;
            moment(digits(text.get(..4)?)?, text.get(4..)?)
        }
    }
}

/// The content of the DER element at the start of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (long.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn skip(bytes: &[u8]) -> Option<&[u8]> {
    element(bytes, *bytes.first()?).map(|(_, rest)| rest)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// `MMDDHHMMSSZ` of a year.
fn moment(year: u64, text: &[u8]) -> Option<SystemTime> {
    let &[m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, b'Z'] = text else { return None };
    let (month, day) = (digits(&[m1, m2])?, digits(&[d1, d2])?);
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[n1, n2])?, digits(&[s1, s2])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of a year that begins in March, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const UNTIL_1970: u64 = 719_468;
    let seconds = days.checked_sub(UNTIL_1970)? * 86_400 + hour * 3600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["agent.example".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let ends = [
            ((2030, 1, 1), 1_893_456_000),
            ((2024, 2, 29), 1_709_164_800),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((2100, 3, 1), 4_107_542_400),
        ];
        for ((year, month, day), seconds) in ends {
            let certificate = certificate(|params| params.not_after = date_time_ymd(year, month, day));
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(not_after(&certificate), Some(expected), "{year}-{month}-{day}");
            for cut in 0..certificate.len() {
                // Must not panic; a cut after the validity may still be readable.
                let _ = not_after(&CertificateDer::from(&certificate[..cut]));
            }
        }
        assert_eq!(not_after(&CertificateDer::from(&b"nonsense"[..])), None);
    }

    #[test]
    fn names_are_read() {
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let certificate = certificate(|params| params.subject_alt_names.push(uri("spiffe://example/agent")));
        let names = Names::of(&certificate);
        assert_eq!(names.dns, ["agent.example"]);
        assert_eq!(names.spiffe_id(), Some("spiffe://example/agent"));
        let two = Names { uris: vec!["spiffe://a".into(), "spiffe://b".into()], ..Names::default() };
        assert_eq!(two.spiffe_id(), None);
        assert_eq!(Names::of(&CertificateDer::from(&b"nonsense"[..])), Names::default());
    }
}
