//! Tunnels through HTTP proxies: `CONNECT`.

use std::io;

use ::http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a proxy's answer.
const MAX_ANSWER: usize = 16 << 10;

/// Asks the proxy at the other end of `stream` to connect to `authority`. What comes behind the proxy's answer is left in the
/// stream: the target may speak first.
///
/// # Errors
/// The proxy refuses, says something else, or hangs up. Its texts are not repeated.
pub(crate) async fn open<S>(stream: &mut S, authority: &str, credentials: Option<&HeaderValue>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let agent = concat!("sluice/", env!("CARGO_PKG_VERSION"));
    let mut request =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\n").into_bytes();
    if let Some(credentials) = credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(128);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_ANSWER {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        // Byte by byte: none of those behind the answer may be taken, and this happens once a connection.
        answer.push(stream.read_u8().await.map_err(|_| io::Error::other("the proxy hung up"))?);
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(io::Error::other("the proxy asks for other credentials (status 407)")),
        Some(status) => Err(io::Error::other(format!("the proxy refused to connect to {authority} (status {status})"))),
        None => Err(io::Error::other("the proxy does not answer in HTTP")),
    }
}

/// The status of an HTTP/1 answer.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let whole = digits.iter().all(u8::is_ascii_digit) && matches!(rest.first(), Some(b' ' | b'\r'));
    std::str::from_utf8(digits).ok().filter(|_| whole)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    async fn asked(answer: &[u8]) -> (io::Result<()>, Vec<u8>, String) {
        let (mut near, mut far) = duplex(64 << 10);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let credentials = HeaderValue::from_static("Basic dTpw");
        let opened = open(&mut near, "backend.example:4317", Some(&credentials)).await;
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        drop(near);
        let mut request = String::new();
        far.read_to_string(&mut request).await.unwrap();
        (opened, rest, request)
    }

    #[tokio::test]
    async fn what_the_target_says_first_stays_in_the_tunnel() {
        let (opened, rest, request) =
            asked(b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n\0\0\x12settings").await;
        assert!(opened.is_ok(), "{opened:?}");
        assert_eq!(rest, b"\0\0\x12settings");
        let agent = concat!("sluice/", env!("CARGO_PKG_VERSION"));
        let expected = format!(
            "CONNECT backend.example:4317 HTTP/1.1\r\nHost: backend.example:4317\r\nUser-Agent: {agent}\r\n\
             Proxy-Authorization: Basic dTpw\r\n\r\n"
        );
        assert_eq!(request, expected);
    }

    #[tokio::test]
    async fn other_answers_are_errors_that_do_not_repeat_them() {
        let long = [&b"HTTP/1.1 200 "[..], &[b'x'; 20 << 10]].concat();
        let cases: [(&[u8], &str); 8] = [
            (b"HTTP/1.1 403 canary\r\n\r\n", "the proxy refused to connect to backend.example:4317 (status 403)"),
            (b"HTTP/1.0 407\r\n\r\n", "the proxy asks for other credentials (status 407)"),
            (b"HTTP/1.1 2000 canary\r\n\r\n", "the proxy does not answer in HTTP"),
            (b"HTTP/1.1 +20 canary\r\n\r\n", "the proxy does not answer in HTTP"),
            (b"SSH-2.0-canary\r\n\r\n", "the proxy does not answer in HTTP"),
            (b"HTTP/1.1 200 canary\r\n", "the proxy hung up"),
            (b"", "the proxy hung up"),
            (&long, "the proxy's answer is too long"),
        ];
        for (answer, expected) in cases {
            let (opened, _, _) = asked(answer).await;
            assert_eq!(opened.unwrap_err().to_string(), expected);
        }
    }
}
