//! Names of rotated files, as upstream's: the time of the rotation before the extension, `data-2022-09-14T05-02-14.173-size.json`, in UTC
//! or local time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sluice_pipeline::clock::WallTime;
use std::path::{Path, PathBuf};

use super::config::Rotation;

const DAY_MS: u64 = 86_400_000;
/// Why a file was put aside. Names without a reason, and for reasons of other collectors, are known as well.
const SIZE: &str = "-size";
const REASONS: [&str; 2] = [SIZE, "-time"];

/// The name that `path` gets when it is rotated at `now`, in ms since 1970.
pub(super) fn name(path: &Path, now_ms: u64, zone: &TimeZone) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{}{SIZE}{extension}", stamp(now_ms, zone)))
}

/// Wall time in ms.
pub(super) fn millis(now: WallTime) -> u64 {
    now.0 / 1_000_000
}

/// The zone of the names.
pub(super) fn zone(local: bool) -> TimeZone {
    if local { TimeZone::system() } else { TimeZone::UTC }
}

/// Which backups of `path` are to be deleted: all but the newest `max_backups`, and those older than `max_days`; zero for no
/// limit.
pub(super) fn expired(path: &Path, now_ms: u64, rotation: &Rotation, zone: &TimeZone) -> std::io::Result<Vec<PathBuf>> {
    let Rotation { max_backups, max_days, .. } = *rotation;
    let (stem, extension) = parts(path);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut backups = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let stamp = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-'));
        let stamp = stamp.and_then(|rest| rest.strip_suffix(&extension)).map(without_reason);
        let Some(time) = stamp.and_then(|text| read_stamp(text, zone)) else { continue };
        backups.push((time, entry.path()));
    }
    backups.sort_unstable_by(|a, b| b.cmp(a));
    let oldest = now_ms.saturating_sub(u64::from(max_days) * DAY_MS);
    let kept = if max_backups == 0 { usize::MAX } else { max_backups as usize };
    let goes = |(place, (time, _)): &(usize, (u64, PathBuf))| *place >= kept || (max_days > 0 && *time < oldest);
    Ok(backups.into_iter().enumerate().filter(goes).map(|(_, (_, path))| path).collect())
}

fn without_reason(stamp: &str) -> &str {
    REASONS.iter().find_map(|reason| stamp.strip_suffix(reason)).unwrap_or(stamp)
}

/// The file's name up to its extension, and the extension with its dot.
fn parts(path: &Path) -> (String, String) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.rfind('.') {
        Some(dot) => (name[..dot].to_owned(), name[dot..].to_owned()),
        None => (name, String::new()),
    }
}

/// `2006-01-02T15-04-05.000`; a time that no calendar has is the beginning of 1970.
fn stamp(ms: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H-%M-%S%.3f").to_string()
}

/// Reads a stamp; `None` for what is none.
fn read_stamp(text: &str, zone: &TimeZone) -> Option<u64> {
    let shape = "dddd-dd-ddTdd-dd-dd.ddd";
    let fits = |(expected, found): (u8, u8)| if expected == b'd' { found.is_ascii_digit() } else { expected == found };
    if text.len() != shape.len() || !shape.bytes().zip(text.bytes()).all(fits) {
        return None;
    }
    let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", text).ok()?.to_zoned(zone.clone()).ok()?;
    u64::try_from(time.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_named_as_upstream_names_them() {
        // 2022-09-14T05:02:14.173Z
        let now = 1_663_131_734_173;
        let cases = [
            ("/a/data.json", "/a/data-2022-09-14T05-02-14.173-size.json"),
            ("data", "data-2022-09-14T05-02-14.173-size"),
            ("/a.b/data.tar.zst", "/a.b/data.tar-2022-09-14T05-02-14.173-size.zst"),
        ];
        for (path, expected) in cases {
            assert_eq!(name(Path::new(path), now, &TimeZone::UTC), Path::new(expected));
        }
    }

    #[test]
    fn stamps_are_read_back() {
        for ms in [0, 1, 951_782_400_000, 951_868_799_999, 1_663_131_734_173, 4_102_444_800_000, 13_574_563_200_000] {
            let stamp = stamp(ms, &TimeZone::UTC);
            assert_eq!(read_stamp(&stamp, &TimeZone::UTC), Some(ms), "{stamp}");
        }
        assert_eq!(stamp(951_782_400_000, &TimeZone::UTC), "2000-02-29T00-00-00.000");
        assert_eq!(stamp(u64::MAX, &TimeZone::UTC), "1970-01-01T00-00-00.000");
        for none in ["", "2022-13-14T05-02-14.173", "2022-09-14T05:02:14.173", "+022-09-14T05-02-14.173", "ümlaut"] {
            assert_eq!(read_stamp(none, &TimeZone::UTC), None, "{none}");
        }
    }

    #[test]
    fn names_may_be_in_local_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // In summer and in winter.
        for (ms, expected) in
            [(1_663_131_734_173, "2022-09-14T07-02-14.173"), (1_672_531_200_000, "2023-01-01T01-00-00.000")]
        {
            assert_eq!(stamp(ms, &zone), expected);
            assert_eq!(read_stamp(expected, &zone), Some(ms));
        }
        assert_eq!(super::zone(false), TimeZone::UTC);
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
        let mut backups: Vec<_> = (0..5).map(|age| name(&path, now - age * DAY_MS - 1, &TimeZone::UTC)).collect();
        // As they were named before there were reasons, and by a collector that rotates by time.
        for (at, reason) in [(3, ""), (4, "-time")] {
            let renamed = backups[at].to_str().unwrap().replace(SIZE, reason);
            backups[at] = renamed.into();
        }
        for backup in &backups {
            std::fs::write(backup, "").unwrap();
        }
        let expired = |max_backups, max_days| {
            let rotation = Rotation { max_backups, max_days, ..Rotation::default() };
            expired(&path, now, &rotation, &TimeZone::UTC).unwrap()
        };
        assert_eq!(expired(0, 0), Vec::<PathBuf>::new());
        assert_eq!(expired(3, 0), backups[3..]);
        assert_eq!(expired(0, 2), backups[2..]);
        assert_eq!(expired(1, 4), backups[1..]);
    }
}
