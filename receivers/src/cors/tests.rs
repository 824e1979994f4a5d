//! Which pages are let in.

use super::*;

fn cors(origins: &[&str]) -> Cors {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Cors::new(&blocks::Cors { allowed_origins: owned(origins), ..blocks::Cors::default() }).unwrap()
}

#[test]
fn an_origin_is_allowed_by_name_or_by_one_asterisk() {
    let shop = cors(&["https://shop.example.com", "https://*.example.org", "http://localhost:*"]);
    for (origin, allowed) in [
        ("https://shop.example.com", true),
        ("https://SHOP.example.com", true),
        ("http://shop.example.com", false),
        ("https://shop.example.com.evil.net", false),
        ("https://evil-shop.example.com", false),
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("https://example.org", false),
        ("https://.example.org", true),
        ("https://a.example.org.evil.net", false),
        ("http://localhost:3000", true),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(shop.allows(origin), allowed, "{origin}");
    }
    assert!(cors(&["*"]).allows("null"));
    // The two ends must not overlap.
    assert!(!cors(&["https://a.*.a.b"]).allows("https://a.b"));
}

#[test]
fn without_origins_there_is_nothing_to_answer() {
    let headers = vec!["x-team".to_owned()];
    assert!(Cors::new(&blocks::Cors { allowed_headers: headers, ..blocks::Cors::default() }).is_none());
}
