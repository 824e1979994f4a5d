//! Hit, near miss and trap for each detector, and accuracy tables.

use super::*;

fn found(id: &str, text: &[u8]) -> Vec<String> {
    let detector = all().into_iter().find(|detector| detector.spec().id == id).unwrap();
    let mut anchors = Vec::new();
    match detector.spec().anchor {
        Anchor::At => super::super::scan::scan_at(text, &mut anchors),
        Anchor::Digits => super::super::digits::scan(text, &mut anchors),
        Anchor::Literals(literals) => {
            anchors.extend(
                (0u32..)
                    .zip(0..text.len())
                    .filter(|(_, at)| literals.iter().any(|l| text[*at..].starts_with(l)))
                    .map(|(at, _)| at),
            );
        }
    }
    let mut hits = Vec::new();
    let mut from = 0;
    for at in anchors {
        if at as usize >= from {
            from = detector.verify(text, at as usize, &mut hits);
        }
    }
    hits.iter().map(|hit| String::from_utf8_lossy(&text[hit.start..hit.end]).into_owned()).collect()
}

/// Each text with what is found in it, parts separated by `|`.
fn check(id: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(found(id, text.as_bytes()).join("|"), *expected, "{id} in {text:?}");
    }
}

#[test]
fn email_finds_addresses_whole() {
    check(
        "email",
        &[
            ("bob@example.org", "bob@example.org"),
            ("to: <Bob.Miller+news@mail.example.co.uk>, thanks", "Bob.Miller+news@mail.example.co.uk"),
            ("a@b.cc,d@e.ff", "a@b.cc|d@e.ff"),
            ("Write to bob@example.org.", "bob@example.org"),
            ("(bob@example.org)", "bob@example.org"),
            ("user='bob@example.org'", "bob@example.org"),
            ("Sean.O'Brien@example.ie", "Sean.O'Brien@example.ie"),
            ("https://x.example/?mail=bob%40example.org&x=1", "bob%40example.org"),
            ("?q%3Dbob%2540example.org", "bob%2540example.org"),
            ("bob%2Btag@example.org", "bob%2Btag@example.org"),
            ("bob＠example.org", "bob＠example.org"),
            ("josé@exämple.fr", "josé@exämple.fr"),
            ("请联系bob@example.org谢谢", "bob@example.org"),
            ("“bob@example.org”", "bob@example.org"),
            ("bob@xn--bcher-kva.xn--p1ai", "bob@xn--bcher-kva.xn--p1ai"),
            ("bob@163.com", "bob@163.com"),
            ("bob@example.org:25", "bob@example.org"),
            ("bob@example.org-", "bob@example.org"),
            ("bob@example.org.123", "bob@example.org"),
            (r#"{"a":"line\nbob@example.org"}"#, "bob@example.org"),
            ("wait...bob@example.org", "bob@example.org"),
            ("mailto:bob@example.org?subject=x", "bob@example.org"),
            ("git@example.org", "git@example.org"),
        ],
    );
}

#[test]
fn email_leaves_look_alikes_alone() {
    check(
        "email",
        &[
            ("Name@10.0.0.1", ""),
            ("Name@10.0.0.1:8080", ""),
            ("name@0.0.0.0", ""),
            ("git@github.com:org/repo.git", ""),
            ("ssh://git@github.com/org/repo", ""),
            ("x@1.2.3", ""),
            ("left-pad@1.3.0-rc.one", ""),
            ("golang.org/x/net@v0.1.2-beta.rc", ""),
            ("@types/node", ""),
            ("bob@localhost", ""),
            ("bob@example.c", ""),
            ("bob@-example.org", ""),
            ("bob@.org", ""),
            ("@example.org", ""),
            ("bob @example.org", ""),
            ("bob@ example.org", ""),
            ("com.example.Foo@1a2b3c4d", ""),
            ("image@sha256:0123456789abcdef", ""),
            ("getty@tty1.service", ""),
            ("user@1000.service started", ""),
            ("logo@2x.png", ""),
            ("50%40", ""),
            ("***@example.org", ""),
            ("[EMAIL]@example.org", ""),
        ],
    );
    let long = format!("{}@example.org", "a".repeat(250));
    assert!(found("email", long.as_bytes()).is_empty(), "longer than 254 bytes");
    let label = format!("bob@{}.org", "a".repeat(64));
    assert!(found("email", label.as_bytes()).is_empty(), "a label of 64 bytes");
}

#[test]
fn pan_finds_cards_whole() {
    check(
        "pan",
        &[
            ("4111111111111111", "4111111111111111"),
            ("4111 1111 1111 1111", "4111 1111 1111 1111"),
            ("4111-1111-1111-1111", "4111-1111-1111-1111"),
            ("card=4111-1111-1111-1111,", "4111-1111-1111-1111"),
            ("5555555555554444 2223003122003222", "5555555555554444|2223003122003222"),
            ("amex 3782 822463 10005 ok", "3782 822463 10005"),
            ("diners 3056 930902 5904", "3056 930902 5904"),
            ("4222222222222", "4222222222222"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
            ("2024-01-02 4111111111111111 7", "4111111111111111"),
            ("12 4111 1111 1111 1111 99", "4111 1111 1111 1111"),
            ("paid with 4111111111111111.", "4111111111111111"),
            ("４１１１１１１１１１１１１１１１", "４１１１１１１１１１１１１１１１"),
            ("4111\u{200b}1111\u{200d}1111\u{feff}1111", "4111\u{200b}1111\u{200d}1111\u{feff}1111"),
            (r#"{"pan":4111111111111111}"#, "4111111111111111"),
            ("号4111111111111111号", "4111111111111111"),
        ],
    );
}

#[test]
fn pan_leaves_look_alikes_alone() {
    check(
        "pan",
        &[
            ("4111111111111112", ""), // check digit
            ("1234567812345670", ""), // no issuer
            ("411111111111111", ""),  // length that Visa does not have
            ("0000000000000000", ""), // one digit
            ("4444444444444448", ""), // two digits
            ("x4111111111111111", ""),
            ("4111111111111111x", ""),
            ("_4111111111111111", ""),
            ("4111111111111111.5", ""),
            ("0.4111111111111111", ""),
            ("-4111111111111111", ""),
            ("blk_-4111111111111111", ""),
            ("4111111111111111-a", ""),
            ("41111111111111110000000", ""),
            ("4111  1111 1111 1111", ""),
            ("4111 1111-1111 1111 0 12", ""),
            ("1700000000000000000", ""), // nanoseconds
            ("1700000000000", ""),
            ("2024-01-02 03 04 05 06 07", ""),
            ("411111******1111", ""),
            ("550e8400-e29b-41d4-a716-446655440000", ""),
        ],
    );
}

#[test]
fn canonical_forms_join_spellings() {
    let normal = |id: &str, text: &str| {
        let mut out = Vec::new();
        all().into_iter().find(|d| d.spec().id == id).unwrap().normalize(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(normal("email", "Bob%40Example.ORG"), "bob@example.org");
    assert_eq!(normal("email", "bob＠example.org"), "bob@example.org");
    assert_eq!(normal("pan", "4111-1111 1111\u{200b}１111"), "4111111111111111");
}

#[test]
fn partial_keeps_what_may_be_shown_and_is_no_finding() {
    for (id, text, expected) in [
        ("email", "bob@example.org", "***@example.org"),
        ("email", "bob%40example.org", "***%40example.org"),
        ("pan", "4111-1111-1111-1111", "4111-11**-****-1111"),
        ("pan", "4222222222222", "422222***2222"),
    ] {
        let detector = all().into_iter().find(|d| d.spec().id == id).unwrap();
        let mut out = Vec::new();
        detector.partial(text.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert!(found(id, &out).is_empty(), "{expected} is found again");
    }
    let mut out = Vec::new();
    keep_ends(b"abcdefgh", 4, &mut out);
    assert_eq!(out, b"ab****gh");
}

/// A small generator with a fixed seed, so that tables are the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A valid number of `length` digits with this prefix.
fn card(random: &mut Random, prefix: &str, length: usize) -> String {
    let mut digits: Vec<u8> = prefix.bytes().map(|byte| byte - b'0').collect();
    while digits.len() < length - 1 {
        digits.push(random.below(10) as u8);
    }
    digits.push(0);
    let check = (0..10).find(|&check| {
        digits[length - 1] = check;
        pan::luhn(&digits)
    });
    digits[length - 1] = check.unwrap();
    digits.iter().map(|digit| (b'0' + digit) as char).collect()
}

#[test]
fn pan_recall_meets_the_target() {
    let mut random = Random(7);
    let issuers = [
        ("4", 16),
        ("4", 13),
        ("4", 19),
        ("51", 16),
        ("2221", 16),
        ("34", 15),
        ("37", 15),
        ("36", 14),
        ("6011", 16),
        ("3528", 16),
        ("62", 16),
        ("2200", 16),
        ("5018", 12),
    ];
    let frames = ["{}", "card {} declined", "pan={};", "\"number\": \"{}\"", "({})", "cc:{}, exp 12/27", "paid by {}."];
    let (mut hits, mut total) = (0, 0);
    for round in 0..4_000 {
        let (prefix, length) = issuers[round % issuers.len()];
        let plain = card(&mut random, prefix, length);
        let grouped = match round % 3 {
            0 => plain.clone(),
            1 => plain.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>().join(" "),
            _ => plain.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>().join("-"),
        };
        let text = frames[round % frames.len()].replace("{}", &grouped);
        total += 1;
        hits += usize::from(found("pan", text.as_bytes()) == [grouped]);
    }
    assert!(hits * 1_000 >= total * 995, "recall {hits} of {total}");
}

#[test]
fn email_recall_and_precision_meet_the_target() {
    let mut random = Random(11);
    let locals = ["bob", "anna.smith", "x+y", "first_last", "a-b", "info2", "q%2Bz"];
    let domains =
        ["example.org", "mail.example.co.uk", "a-b.io", "xn--bcher-kva.example", "163.com", "sub.sub2.museum"];
    let frames = [
        "{}",
        "<{}>",
        "to={}&x=1",
        "\"mail\":\"{}\"",
        "from {} to",
        "({})",
        "user:{}, ok",
        "hi {}.",
        "a;{};b",
        "mailto:{}?x",
    ];
    for _ in 0..4_000 {
        let mut pick = |list: &[&str]| list[random.below(list.len() as u64) as usize].to_owned();
        let address = format!("{}@{}", pick(&locals), pick(&domains));
        let text = pick(&frames).replace("{}", &address);
        assert_eq!(found("email", text.as_bytes()), [address], "{text}");
    }
    for line in [
        "Started Session 12 of user root@pts/0.",
        "postgres@[local] FATAL: no pg_hba.conf entry",
        "java.lang.Object@4e25154f at com.example.Main.run(Main.java:12)",
        "npm WARN deprecated left-pad@1.3.0: use String.prototype.padStart()",
        "systemd[1]: Starting fsck@dev-sda1.service - File System Check",
        "kernel: [    0.000000] e820@0x9fc00 reserved",
        "pulled registry.example/app@sha256:9b74c9897bac770ffc029102a200c5de",
        "fetch git@github.com:org/repo.git done in 1.2s",
        "at async handler (webpack:///./src/app.js@1.0.2?:12:3)",
        "10:22:33.123 mux@127.0.0.1:5000 accepted",
    ] {
        assert_eq!(found("email", line.as_bytes()), [""; 0], "{line}");
    }
}
