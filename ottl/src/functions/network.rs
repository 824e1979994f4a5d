//! Addresses and networks.

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, required};
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[Function::prepared(
    "IsInCIDR",
    &[required("target", Kind::String), required("networks", Kind::Items(&Kind::String))],
    prepare,
)];

/// A network: its address and how many leading bits count.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &[u8]) -> Result<Network, String> {
        let invalid = || {
            let shown = String::from_utf8_lossy(text.get(..100).unwrap_or(text)).into_owned();
            format!("invalid CIDR address: {shown}")
        };
        let text = std::str::from_utf8(text).map_err(|_| invalid())?;
        let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        // An IPv4 address written as IPv6 is an IPv4 address.
        let (address, bits) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(v4)) if bits >= 96 => (IpAddr::V4(v4), bits - 96),
            (address, _) => (address, bits),
        };
        if bits > most {
            return Err(invalid());
        }
        Ok(Network { address, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        fn same(a: &[u8], b: &[u8], bits: u32) -> bool {
            let whole = bits as usize / 8;
            let rest = bits % 8;
            let mask = !(0xffu16 >> rest) as u8;
            let masked = |octets: &[u8]| octets.get(whole).map_or(0, |octet| octet & mask);
            a.get(..whole) == b.get(..whole) && (rest == 0 || masked(a) == masked(b))
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets(), self.bits),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets(), self.bits),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct IsInCidr {
    /// The networks, if all are literals.
    fixed: Option<Vec<Network>>,
}

fn prepare(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let mut networks = Vec::new();
    if let Some(Argument::Items(items)) = args.get(1) {
        for item in items {
            let crate::expr::Expr::Const(Value::Str(text)) = item else {
                return Ok(Arc::new(IsInCidr { fixed: None }));
            };
            networks.push(Network::parse(text)?);
        }
    }
    Ok(Arc::new(IsInCidr { fixed: Some(networks) }))
}

impl Converter for IsInCidr {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let text = call.string(0)?;
        let Some(address) = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
            return Ok(Value::Bool(false));
        };
        if let Some(networks) = &self.fixed {
            return Ok(Value::Bool(networks.iter().any(|network| network.contains(address))));
        }
        for network in call.items(1) {
            let network = Network::parse(&crate::convert::string(network?)?).map_err(EvalError::function)?;
            if network.contains(address) {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }
}
