//! Addresses that are not those of servers on the Internet: of this machine, of networks inside, and those
//! that registries set aside (IANA's registries of special-purpose addresses, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns true if an address belongs to this machine or a network that is not the Internet.
#[must_use]
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => match inner_v4(ip) {
            Some(inner) => is_private_v4(inner),
            None => is_private_v6(ip),
        },
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        // This network, and 240.0.0.0/4, which holds the broadcast address.
        || a == 0
        || a >= 240
        // Carrier-grade NAT, RFC 6598.
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments, RFC 6890, and relays of 6to4, RFC 7526.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks, RFC 2544.
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, ..] = ip.segments();
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        // Site-local, RFC 3879.
        || a & 0xffc0 == 0xfec0
        // NAT64 inside a network, RFC 8215: the address within is where that network says.
        || (a == 0x64 && b == 0xff9b && c == 1)
        // Discard, RFC 6666.
        || (a == 0x100 && b == 0 && c == 0 && d == 0)
        // Protocol assignments, RFC 2928, Teredo among them.
        || (a == 0x2001 && b < 0x200)
        // Documentation, RFC 3849 and RFC 9637.
        || (a == 0x2001 && b == 0xdb8)
        || (a == 0x3fff && b < 0x1000)
        // Segment routing, RFC 9602.
        || a == 0x5f00
}

/// The IPv4 address that packets to this one go to: mapped (`::ffff:0:0/96`), translated
/// (`::ffff:0:0:0/96`), compatible (`::/96`), of NAT64 (`64:ff9b::/96`) or of 6to4 (`2002::/16`).
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(of(high, low)),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_and_set_aside_are_private_in_every_form() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
            "2001:4860::1",
            "2606:4700::1",
            "2a00::1",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
