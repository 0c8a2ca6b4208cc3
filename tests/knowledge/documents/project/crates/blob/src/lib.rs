//! Content-addressed blobs.

use std::collections::HashMap;

#[derive(Debug, PartialEq)]
pub enum BlobError {
    DigestMismatch,
    Missing,
}

#[derive(Default)]
pub struct BlobStore {
    blobs: HashMap<u64, Vec<u8>>,
    refs: HashMap<u64, u32>,
}

/// Stand-in for a real digest.
pub fn digest(data: &[u8]) -> u64 {
    data.iter()
        .fold(0xcbf29ce484222325, |h, b| (h ^ *b as u64).wrapping_mul(0x100000001b3))
}

pub fn verify_digest(want: u64, data: &[u8]) -> Result<(), BlobError> {
    if digest(data) == want {
        Ok(())
    } else {
        Err(BlobError::DigestMismatch)
    }
}

impl BlobStore {
    pub fn put_blob(&mut self, data: &[u8]) -> u64 {
        let d = digest(data);
        self.blobs.entry(d).or_insert_with(|| data.to_vec());
        *self.refs.entry(d).or_insert(0) += 1;
        d
    }

    pub fn get_blob(&self, d: u64) -> Result<&[u8], BlobError> {
        let data = self.blobs.get(&d).ok_or(BlobError::Missing)?;
        verify_digest(d, data)?;
        Ok(data)
    }

    pub fn release(&mut self, d: u64) {
        if let Some(n) = self.refs.get_mut(&d) {
            *n = n.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_mismatch_is_rejected() {
        assert_eq!(verify_digest(1, b"x"), Err(BlobError::DigestMismatch));
    }

    #[test]
    fn same_bytes_same_blob() {
        let mut s = BlobStore::default();
        assert_eq!(s.put_blob(b"a"), s.put_blob(b"a"));
    }
}
