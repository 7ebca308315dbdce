//! Requests and answers have the fields that the vendor documents, and no others.
