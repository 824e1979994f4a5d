//! Did-you-mean (experience §4.1).

/// Longer names are not compared: nobody mistypes those, and the comparison is quadratic.
const MAX_NAME: usize = 64;
const MAX_SUGGESTIONS: usize = 3;

/// The candidates nearest to `name`: equal but for case, `_` and `-` first, then by edit distance of at most a third
/// of its length; three at most.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let chars = name.chars().count();
    if chars > MAX_NAME {
        return Vec::new();
    }
    let limit = (chars / 3).max(1);
    let wanted = fold(name);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 2 * MAX_NAME && *candidate != name)
        .filter_map(|candidate| {
            if fold(candidate) == wanted {
                return Some((0, candidate));
            }
            let distance = strsim::damerau_levenshtein(name, candidate);
            (distance <= limit).then_some((distance, candidate))
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MAX_SUGGESTIONS);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// `did you mean …?` for the nearest candidates, if there are any.
pub fn did_you_mean<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let found = nearest(name, candidates);
    let quoted: Vec<String> = found.iter().map(|candidate| format!("`{candidate}`")).collect();
    (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_and_strangers_not_at_all() {
        let fields = ["limit_mib", "spike_limit_mib", "check_interval", "limit_percentage"];
        assert_eq!(nearest("limits_mib", fields), ["limit_mib"]);
        assert_eq!(nearest("LimitMiB", fields), ["limit_mib"]);
        assert_eq!(nearest("xyz", fields), Vec::<&str>::new());
        assert_eq!(nearest(&"a".repeat(100_000), fields), Vec::<&str>::new());
        assert_eq!(did_you_mean("chek_interval", fields).as_deref(), Some("did you mean `check_interval`?"));
    }
}
