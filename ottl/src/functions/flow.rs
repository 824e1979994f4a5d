//! Community ids: one name for both directions of a network flow.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, optional, required};
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[Function::converter(
    "CommunityID",
    &[
        required("sourceIP", Kind::String),
        required("sourcePort", Kind::Int),
        required("destinationIP", Kind::String),
        required("destinationPort", Kind::Int),
        optional("protocol", Kind::String),
        optional("seed", Kind::Int),
    ],
    community_id,
)];

const TCP: u8 = 6;

fn protocol_number(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"ICMP" => 1,
        b"TCP" => TCP,
        b"UDP" => 17,
        b"RSVP" => 46,
        b"ICMP6" => 58,
        b"SCTP" => 132,
        _ => return None,
    })
}

fn endpoint(call: Call<'_>, index: usize, name: &str) -> Result<(Vec<u8>, u16), EvalError> {
    let text = call.string(index)?;
    let port = call.int(index + 1)?;
    let port = u16::try_from(port)
        .map_err(|_| EvalError::function(format!("{name} port must be between 0 and 65535, got {port}")))?;
    let address = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let octets = match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Some(IpAddr::V6(v6)) => v6.octets().to_vec(),
        None => {
            let shown = String::from_utf8_lossy(text.get(..100).unwrap_or(&text)).into_owned();
            return Err(EvalError::function(format!("invalid {name} IP: {shown}")));
        }
    };
    Ok((octets, port))
}

fn community_id(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let (source, destination) = (endpoint(call, 0, "source")?, endpoint(call, 2, "destination")?);
    let protocol = if call.given(4) {
        let name = call.string(4)?;
        protocol_number(&name).ok_or_else(|| {
            let shown = String::from_utf8_lossy(name.get(..100).unwrap_or(&name)).into_owned();
            EvalError::function(format!("unsupported protocol: {shown}"))
        })?
    } else {
        TCP
    };
    let seed = if call.given(5) { call.int(5)? } else { 0 };
    let seed = u16::try_from(seed)
        .map_err(|_| EvalError::function(format!("seed must be between 0 and 65535, got {seed}")))?;
    // The lower address comes first, then the lower port; IPv4 is lower than IPv6.
    let order = |end: &(Vec<u8>, u16)| (end.0.len(), end.0.clone(), end.1);
    let (low, high) = if order(&source) > order(&destination) { (destination, source) } else { (source, destination) };
    let mut tuple = seed.to_be_bytes().to_vec();
    tuple.extend_from_slice(&low.0);
    tuple.extend_from_slice(&high.0);
    tuple.extend_from_slice(&[protocol, 0]);
    tuple.extend_from_slice(&low.1.to_be_bytes());
    tuple.extend_from_slice(&high.1.to_be_bytes());
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &tuple);
    Ok(Value::string(format!("1:{}", base64::engine::general_purpose::STANDARD.encode(hash))))
}
