//! Images as bytes: documents parsed strictly, layers read in one pass.
