//! Images, made by hand.

/// Returns a black image.
pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
    let row = usize::try_from(width * 3 + 1).unwrap();
    let pixels = vec![0; row * usize::try_from(height).unwrap()];
    // Not compressed: blocks with their length, and at the end the sum of all bytes.
    let mut data = vec![0x78, 0x01];
    let mut blocks = pixels.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        data.push(u8::from(blocks.peek().is_none()));
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend(block);
    }
    let sum = u32::try_from(pixels.len() % 65_521).unwrap() << 16 | 1;
    data.extend(sum.to_be_bytes());
    file(width, height, &data)
}

/// Returns the few bytes of an image that says that it has so many pixels.
pub(super) fn png_that_says(width: u32, height: u32) -> Vec<u8> {
    file(width, height, &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1])
}

fn file(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut head = width.to_be_bytes().to_vec();
    head.extend(height.to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(*b"IHDR", &head));
    bytes.extend(chunk(*b"IDAT", data));
    bytes.extend(chunk(*b"IEND", &[]));
    bytes
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut body = kind.to_vec();
    body.extend(data);
    let mut crc = u32::MAX;
    for byte in &body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend(body);
    chunk.extend((!crc).to_be_bytes());
    chunk
}
