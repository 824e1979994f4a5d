//! `url_sanitizer`: collapses what varies in the path of a URL, so that few routes remain.
//!
//! The rules are ours: upstream asks a trained model whether a word is gibberish, we look at what the word is made of.

/// Segments behind this many slashes are cut off.
const MAX_SLASHES: usize = 10;
/// A word of letters only, this long without a vowel, is an identifier.
const CONSONANTS: usize = 5;

/// Appends `url` without query and fragment and with `*` for each variable path segment.
pub(crate) fn sanitize(url: &[u8], out: &mut Vec<u8>) {
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'&' | b'#')).unwrap_or(url.len());
    let url = &url[..end];
    let path = authority_end(url);
    out.extend_from_slice(&url[..path]);
    let rpc = is_rpc_path(&url[path..]);
    let mut slashes = 0;
    for (index, segment) in url[path..].split(|&byte| byte == b'/').enumerate() {
        if index > 0 {
            slashes += 1;
            if slashes >= MAX_SLASHES {
                break;
            }
            out.push(b'/');
        }
        if rpc || !is_variable(segment) {
            out.extend_from_slice(segment);
        } else {
            // A method in front of the path, as in the name of a span, stays.
            let verb = segment
                .iter()
                .position(|&byte| byte == b' ')
                .filter(|&at| segment[..at].iter().all(u8::is_ascii_uppercase));
            out.extend_from_slice(verb.map_or(&[][..], |at| &segment[..=at]));
            out.push(b'*');
        }
    }
}

/// Whether nothing but slashes and stars is left.
pub(crate) fn is_all_stars(url: &[u8]) -> bool {
    !url.is_empty() && url.iter().all(|byte| matches!(byte, b'/' | b'*')) && url.contains(&b'*')
}

/// End of `scheme://host:port`, or 0 for a path.
fn authority_end(url: &[u8]) -> usize {
    let Some(scheme) = memchr::memmem::find(url, b"://") else { return 0 };
    if !url[..scheme].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b' ')) {
        return 0;
    }
    url[scheme + 3..].iter().position(|&byte| byte == b'/').map_or(url.len(), |at| scheme + 3 + at)
}

/// `/package.Service/Method` of gRPC, and Twirp's with a prefix: the last two segments are a dotted service name and a
/// method in CamelCase.
fn is_rpc_path(path: &[u8]) -> bool {
    let mut segments = path.rsplit(|&byte| byte == b'/');
    let (Some(method), Some(service)) = (segments.next(), segments.next()) else { return false };
    let name = |text: &[u8]| {
        text.first().is_some_and(u8::is_ascii_alphabetic)
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let dotted = service.contains(&b'.') && service.split(|&byte| byte == b'.').all(name);
    dotted && name(method) && method[0].is_ascii_uppercase() && method.iter().any(u8::is_ascii_lowercase)
}

/// Whether a segment is an identifier rather than a name.
fn is_variable(segment: &[u8]) -> bool {
    if segment.is_empty() || is_template(segment) || is_dotted_name(segment) {
        return false;
    }
    let word = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b'.' | b' ');
    match segment.iter().position(|byte| !word(byte)) {
        // One odd character as the second one is fine: `v1`, `k6-test-runs`, `j4elk`.
        Some(1) if segment[2..].iter().all(word) => segment.len() == 1,
        Some(_) => true,
        None => segment.split(|byte| !byte.is_ascii_alphabetic()).any(is_gibberish),
    }
}

/// A path parameter of a route template: `{id}`, `:id`, `<id>`, `[id]`, `*`.
fn is_template(segment: &[u8]) -> bool {
    let name =
        |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'*' | b'.'));
    match segment {
        [b'*'] | [b'*', b'*'] => true,
        [b'{', inner @ .., b'}'] | [b'<', inner @ .., b'>'] | [b'[', inner @ .., b']'] => name(inner),
        [b':', inner @ ..] if !inner.is_empty() => name(inner),
        _ => false,
    }
}

/// `com.example.v1.Service2`: parts that start with a letter, at least two dots or a capitalized last part.
fn is_dotted_name(segment: &[u8]) -> bool {
    let mut parts = 0;
    let all = segment.split(|&byte| byte == b'.').all(|part| {
        parts += 1;
        let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
        part.first().is_some_and(u8::is_ascii_alphabetic)
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && digits * 2 <= part.len()
    });
    all && parts >= 3
}

/// A word of letters that nobody could say.
fn is_gibberish(word: &[u8]) -> bool {
    if word.iter().any(|byte| byte.is_ascii_uppercase()) && word.iter().any(u8::is_ascii_lowercase) {
        return false; // CamelCase is a name
    }
    let vowel = |byte: &u8| matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    word.split(vowel).any(|consonants| consonants.len() >= CONSONANTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitized(url: &str) -> String {
        let mut out = Vec::new();
        sanitize(url.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_varies_becomes_a_star() {
        for (url, expected) in [
            ("/api/users/123e4567-e89b-12d3-a456-426614174000", "/api/users/*"),
            ("/api/users/123/posts/456", "/api/users/*/posts/*"),
            ("/api/users?id=123&name=john", "/api/users"),
            ("/attach#section-1", "/attach"),
            ("", ""),
            ("123/ljgdflgjf", "*/*"),
            ("/v1/products/22j", "/v1/products/*"),
            ("/products//org/3", "/products//org/*"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/i"),
            ("https://shop.example.org:8443/orders/88123/items", "https://shop.example.org:8443/orders/*/items"),
        ] {
            assert_eq!(sanitized(url), expected, "{url}");
        }
    }

    #[test]
    fn names_stay() {
        for url in [
            "/v1/k6-test-runs",
            "/user_space/",
            "GET /api/cart",
            "/api/hello.world.again",
            "/grpc.health.v1.Health/Check",
            "/twirp/shop.v2.OrderService/CreateOrder2Go",
            "/users/{id}/posts/:post",
            "/files/*",
            "/oauth2.callback.v1/",
            "HTTP GET",
        ] {
            assert_eq!(sanitized(url), url);
        }
    }

    #[test]
    fn a_second_run_changes_nothing() {
        for url in ["/a/1/b2c3/x?y", "GET /users/12", "/x/%7Babc%7D/[EMAIL]", "http://h/1", "12/", "/é/ü1"] {
            let once = sanitized(url);
            assert_eq!(sanitized(&once), once, "{url}");
        }
    }
}
