//! Names of rotated files, as upstream's: the time of the rotation before the extension, `data-2022-09-14T05-02-14.173.json`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_pipeline::clock::WallTime;

const DAY_MS: u64 = 86_400_000;

/// The name that `path` gets when it is rotated at `now`, in ms since 1970.
pub(super) fn name(path: &Path, now_ms: u64) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{}{extension}", stamp(now_ms)))
}

/// Wall time in ms.
pub(super) fn millis(now: WallTime) -> u64 {
    now.0 / 1_000_000
}

/// Which backups of `path` are to be deleted: all but the newest `max_backups`, and those older than `max_days`; zero for no
/// limit.
pub(super) fn expired(path: &Path, now_ms: u64, max_backups: u32, max_days: u32) -> std::io::Result<Vec<PathBuf>> {
    let (stem, extension) = parts(path);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut backups = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let stamp = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-'));
        let Some(time) = stamp.and_then(|rest| rest.strip_suffix(&extension)).and_then(read_stamp) else { continue };
        backups.push((time, entry.path()));
    }
    backups.sort_unstable_by(|a, b| b.cmp(a));
    let oldest = now_ms.saturating_sub(u64::from(max_days) * DAY_MS);
    let kept = if max_backups == 0 { usize::MAX } else { max_backups as usize };
    let goes = |(place, (time, _)): &(usize, (u64, PathBuf))| *place >= kept || (max_days > 0 && *time < oldest);
    Ok(backups.into_iter().enumerate().filter(goes).map(|(_, (_, path))| path).collect())
}

/// The file's name up to its extension, and the extension with its dot.
fn parts(path: &Path) -> (String, String) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.rfind('.') {
        Some(dot) => (name[..dot].to_owned(), name[dot..].to_owned()),
        None => (name, String::new()),
    }
}

/// `2006-01-02T15-04-05.000`, in UTC.
fn stamp(ms: u64) -> String {
    let (days, of_day) = (ms / DAY_MS, Duration::from_millis(ms % DAY_MS));
    let (year, month, day) = date(days);
    let seconds = of_day.as_secs();
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{:03}", of_day.subsec_millis())
}

/// Reads a stamp; `None` for what is none.
fn read_stamp(text: &str) -> Option<u64> {
    let shape = "dddd-dd-ddTdd-dd-dd.ddd";
    let fits = |(expected, found): (u8, u8)| if expected == b'd' { found.is_ascii_digit() } else { expected == found };
    if text.len() != shape.len() || !shape.bytes().zip(text.bytes()).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, ms) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    Some(days(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms)
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March: the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    // 719,468 days lie between the first of March of year 0 and 1970.
    before + day - 1 - 719_468
}

/// The date of a day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468;
    // 146,097 days are 400 years.
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_named_as_upstream_names_them() {
        // 2022-09-14T05:02:14.173Z
        let now = 1_663_131_734_173;
        let cases = [
            ("/a/data.json", "/a/data-2022-09-14T05-02-14.173.json"),
            ("data", "data-2022-09-14T05-02-14.173"),
            ("/a.b/data.tar.zst", "/a.b/data.tar-2022-09-14T05-02-14.173.zst"),
        ];
        for (path, expected) in cases {
            assert_eq!(name(Path::new(path), now), Path::new(expected));
        }
    }

    #[test]
    fn stamps_are_read_back() {
        for ms in [0, 1, 951_782_400_000, 951_868_799_999, 1_663_131_734_173, 4_102_444_800_000, 13_574_563_200_000] {
            assert_eq!(read_stamp(&stamp(ms)), Some(ms), "{}", stamp(ms));
        }
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00-00-00.000");
        for day in 0..100_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
        for none in ["", "2022-13-14T05-02-14.173", "2022-09-14T05:02:14.173", "+022-09-14T05-02-14.173", "ümlaut"] {
            assert_eq!(read_stamp(none), None, "{none}");
        }
    }

    #[test]
    fn the_oldest_go_first_and_nothing_else_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.json");
        let now = 1_663_131_734_173;
        let others = [
            "data.json",
            "data-.json",
            "data-x.json",
            "other-2000-01-01T00-00-00.000.json",
            "data-2000-01-01T00-00-00.000",
        ];
        for name in others {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let backups: Vec<_> = (0..5).map(|age| name(&path, now - age * DAY_MS - 1)).collect();
        for backup in &backups {
            std::fs::write(backup, "").unwrap();
        }
        let expired = |max_backups, max_days| expired(&path, now, max_backups, max_days).unwrap();
        assert_eq!(expired(0, 0), Vec::<PathBuf>::new());
        assert_eq!(expired(3, 0), backups[3..]);
        assert_eq!(expired(0, 2), backups[2..]);
        assert_eq!(expired(1, 4), backups[1..]);
    }
}
