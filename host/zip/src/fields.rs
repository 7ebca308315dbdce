//! Reads the little-endian fields of a zip's structures, never past their end.

/// The rest of a structure.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        Fields(data)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A field of an entry's extra data, by its id.
pub(super) fn extra(data: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut fields = Fields::of(data);
    loop {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let field = fields.bytes(usize::from(length))?;
        if id == wanted {
            return Some(field);
        }
    }
}
