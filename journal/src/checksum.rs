//! CRC-32C (Castagnoli; iSCSI, RFC 3720 §12.1), by the widest instructions that the processor has.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of some bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of what has the checksum `before` and these bytes behind it.
pub(crate) fn crc32c_append(before: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!before));
    digest.update(bytes);
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the polynomial says.
    fn slow(before: u32, bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!before, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    fn it_is_the_checksum_of_rfc_3720() {
        // Its appendix B.4, and the check value of the catalogues.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn every_length_and_every_cut_gives_the_same() {
        let bytes: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in (0..600).chain([1023, 1024, 1025, 4095, 4096, 4999]) {
            let whole = slow(0, &bytes[..len]);
            assert_eq!(crc32c(&bytes[..len]), whole, "{len} bytes");
            for cut in [0, 1, 7, 8, len / 3, len] {
                let (front, back) = bytes[..len].split_at(cut.min(len));
                assert_eq!(crc32c_append(crc32c(front), back), whole, "{len} bytes, cut at {cut}");
            }
        }
    }
}
