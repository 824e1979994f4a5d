//! What a sender is told who waited for destinations (delivery §6, the rows of `exported`).

use crate::outcome::{Partial, Refusal};
use crate::spine::Confirmation;

/// The answer, from what every destination made of the request; `others` is the number of those that have all of it and are
/// not listed. `own` is what the pipelines rejected.
///
/// What may succeed later comes first: then the whole request is sent again. A destination that rejected all it got for good
/// makes it a bad request. Items that were not delivered are told in `partial_success`: in the destination's own words if it
/// is the only one, else with the largest number of any of them.
///
/// # Errors
/// [`Refusal::DestinationUnavailable`] and [`Refusal::DestinationRejected`].
pub(super) fn verdict(
    confirmations: &[Confirmation],
    others: usize,
    own: Option<Partial>,
) -> Result<Option<Partial>, Refusal> {
    if let Some(lost) = confirmations.iter().find(|part| part.lost > 0) {
        return Err(Refusal::DestinationUnavailable { message: named(lost, "the data is not there any more") });
    }
    if let Some(part) = confirmations.iter().find(|part| part.rejected > 0 && part.rejected >= part.items) {
        return Err(Refusal::DestinationRejected { message: named(part, "all of it") });
    }
    let worst = confirmations.iter().max_by_key(|part| missing(part)).filter(|part| missing(part) > 0);
    let Some(worst) = worst else { return Ok(own) };
    let rejected = missing(worst) as u64;
    let message = match &worst.message {
        Some(said) if confirmations.len() + others == 1 => said.clone(),
        _ => named(worst, &format!("{rejected} items rejected")),
    };
    Ok(Some(match own {
        None => Partial::new(rejected, message),
        Some(own) => Partial::new(own.rejected + rejected, format!("{}; {message}", own.message)),
    }))
}

/// Items that are not at the destination.
fn missing(part: &Confirmation) -> usize {
    part.items.saturating_sub(part.delivered)
}

fn named(part: &Confirmation, otherwise: &str) -> String {
    format!("{}: {}", part.destination, part.message.as_deref().unwrap_or(otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, delivered: usize, rejected: usize, dropped: usize, lost: usize) -> Confirmation {
        let items = delivered + rejected + dropped + lost;
        Confirmation { delivered, rejected, dropped, lost, ..Confirmation::pending(name.into(), items) }
    }

    #[test]
    fn the_rows_of_exported() {
        let own = || Some(Partial::new(1, "invalid"));
        let said = |part: Confirmation| Confirmation { message: Some("too old".to_owned()), ..part };
        let unavailable = |message: &str| Err(Refusal::DestinationUnavailable { message: message.to_owned() });
        let rejected = |message: &str| Err(Refusal::DestinationRejected { message: message.to_owned() });
        let partial = |rejected, message: &str| Ok(Some(Partial::new(rejected, message)));
        let cases = [
            (vec![], None, Ok(None)),
            (vec![part("a", 3, 0, 0, 0), part("b", 3, 0, 0, 0)], own(), Ok(own())),
            (vec![part("a", 2, 0, 1, 0)], None, partial(1, "a: 1 items rejected")),
            // In its own words if it is the only one.
            (vec![said(part("a", 2, 0, 1, 0))], None, partial(1, "too old")),
            (vec![said(part("a", 0, 0, 3, 0))], own(), partial(4, "invalid; too old")),
            (vec![part("a", 3, 0, 0, 0), said(part("b", 1, 1, 1, 0))], None, partial(2, "b: too old")),
            // Rejected for good.
            (vec![said(part("a", 0, 3, 0, 0))], own(), rejected("a: too old")),
            (vec![part("a", 3, 0, 0, 0), part("b", 0, 3, 0, 0)], None, rejected("b: all of it")),
            (vec![part("a", 2, 1, 0, 0)], None, partial(1, "a: 1 items rejected")),
            // What may succeed later wins.
            (
                vec![part("a", 0, 3, 0, 0), part("b", 2, 0, 0, 1)],
                None,
                unavailable("b: the data is not there any more"),
            ),
        ];
        for (parts, own, expected) in cases {
            assert_eq!(verdict(&parts, 0, own), expected, "{parts:?}");
        }
        assert_eq!(verdict(&[said(part("a", 2, 0, 1, 0))], 1, None), partial(1, "a: too old"));
    }
}
