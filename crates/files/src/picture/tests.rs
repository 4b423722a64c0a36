use std::io::Write as _;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{AnimationDecoder as _, Frame, Rgb, RgbImage, RgbaImage};

use super::*;

const LIMITS: PictureLimits = PictureLimits { side: 1_000, memory: 8 << 20 };
/// Stands for what a camera notes of the place.
const SECRET: &[u8] = b"52.5200 N 13.4050 E";

fn picture(width: u32, height: u32) -> DynamicImage {
    let color = |x: u32, y: u32| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 99]);
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, color))
}

fn encoded(image: &DynamicImage, kind: PictureKind) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, kind.format()).unwrap();
    bytes.into_inner()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

/// A segment of EXIF data that says how the camera was held, and where.
fn exif(turn: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
    tiff.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, turn, 0, 0, 0, 0, 0, 0, 0]);
    tiff.extend(SECRET);
    tiff
}

fn jpeg_with_exif(image: &DynamicImage, turn: u8) -> Vec<u8> {
    let plain = encoded(image, PictureKind::Jpeg);
    let exif = exif(turn);
    let mut bytes = plain[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend((u16::try_from(exif.len()).unwrap() + 8).to_be_bytes());
    bytes.extend(b"Exif\0\0");
    bytes.extend(exif);
    bytes.extend(&plain[2..]);
    bytes
}

/// A chunk of a PNG file.
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

/// The head of a PNG file with any size: a few bytes that ask for gigabytes.
fn png_that_says(width: u32, height: u32) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    head.extend([8, 6, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(*b"IHDR", &head));
    bytes.extend(chunk(*b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]));
    bytes.extend(chunk(*b"IEND", &[]));
    bytes
}

#[test]
fn place_that_a_camera_notes_is_not_handed_on_and_its_turn_is_carried_out() {
    let bytes = jpeg_with_exif(&picture(40, 20), 6);
    assert!(contains(&bytes, SECRET));
    let remade = remake(&bytes, PictureKind::Jpeg, LIMITS).unwrap();
    assert!(!contains(&remade.bytes, SECRET) && !contains(&remade.bytes, b"Exif"));
    assert_eq!((remade.width, remade.height), (20, 40));
    let seen = image::load_from_memory(&remade.bytes).unwrap();
    assert_eq!((seen.width(), seen.height()), (20, 40));
}

#[test]
fn text_in_a_png_is_not_handed_on() {
    let plain = encoded(&picture(9, 5), PictureKind::Png);
    let (head, rest) = plain.split_at(33);
    let note = chunk(*b"tEXt", &[b"Comment\0", SECRET].concat());
    let bytes = [head, &note, rest, b"trailing bytes"].concat();
    let remade = remake(&bytes, PictureKind::Png, LIMITS).unwrap();
    assert!(!contains(&remade.bytes, SECRET) && !contains(&remade.bytes, b"trailing"));
    assert_eq!(image::load_from_memory(&remade.bytes).unwrap(), picture(9, 5));
}

#[test]
fn webp_becomes_what_suits_it() {
    let opaque = encoded(&picture(9, 5), PictureKind::WebP);
    assert_eq!(remake(&opaque, PictureKind::WebP, LIMITS).unwrap().kind, PictureKind::Jpeg);
    let clear = DynamicImage::ImageRgba8(RgbaImage::new(9, 5));
    let clear = encoded(&clear, PictureKind::WebP);
    let remade = remake(&clear, PictureKind::WebP, LIMITS).unwrap();
    assert_eq!(remade.kind, PictureKind::WebP);
    assert!(image::load_from_memory(&remade.bytes).unwrap().color().has_alpha());
}

#[test]
fn gif_keeps_its_animation_and_loses_its_notes() {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Finite(3)).unwrap();
    for _ in 0..4 {
        encoder.encode_frame(Frame::new(picture(12, 8).to_rgba8())).unwrap();
    }
    drop(encoder);
    let trailer = bytes.pop().unwrap();
    let mut note = vec![0x21, 0xfe, u8::try_from(SECRET.len()).unwrap()];
    note.extend(SECRET);
    note.push(0);
    bytes.extend(&note);
    bytes.push(trailer);
    bytes.write_all(SECRET).unwrap();
    let remade = remake(&bytes, PictureKind::Gif, LIMITS).unwrap();
    assert!(!contains(&remade.bytes, SECRET));
    assert!(contains(&remade.bytes, b"NETSCAPE2.0"));
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(&remade.bytes)).unwrap();
    assert_eq!(decoder.into_frames().count(), 4);
    assert_eq!((remade.width, remade.height), (12, 8));
}

#[test]
fn image_with_too_many_pixels_is_refused_before_it_is_decoded() {
    for (width, height) in [(30_000, 30_000), (1_001, 1), (1, 1_001)] {
        let bytes = png_that_says(width, height);
        let refused = remake(&bytes, PictureKind::Png, LIMITS);
        assert_eq!(refused, Err(LIMITS.refuse(width, height)));
    }
    // Within the sides, but not within the memory.
    let bomb = encoded(&DynamicImage::new_rgba16(1_000, 1_000), PictureKind::Png);
    let tight = PictureLimits { memory: 7 << 20, ..LIMITS };
    assert!(bomb.len() < 100_000);
    let refused = remake(&bomb, PictureKind::Png, tight).unwrap_err();
    assert!(matches!(refused, PictureRefused::TooLarge { .. }));
    assert!(remake(&bomb, PictureKind::Png, LIMITS).is_ok());
}

#[test]
fn gif_of_many_large_images_is_refused() {
    let one = encoded(&picture(100, 100), PictureKind::Gif);
    let tight = PictureLimits { side: 100, memory: 9_999 };
    assert!(matches!(gif::copy(&one, tight), Err(PictureRefused::TooLarge { .. })));
    assert!(gif::copy(&one, PictureLimits { memory: 10_000, ..tight }).is_ok());
    let narrow = PictureLimits { side: 99, memory: 10_000 };
    assert!(matches!(gif::copy(&one, narrow), Err(PictureRefused::TooLarge { .. })));
}

#[test]
fn broken_image_is_refused_wherever_it_ends() {
    for kind in [PictureKind::Png, PictureKind::Jpeg, PictureKind::Gif, PictureKind::WebP] {
        let whole = encoded(&picture(30, 20), kind);
        for length in [0, 3, 12, 13, 20, 40] {
            let refused = remake(&whole[..length.min(whole.len())], kind, LIMITS);
            assert_eq!(refused, Err(PictureRefused::Broken), "{kind:?} {length}");
        }
    }
    assert_eq!(avatar(b"no image at all", LIMITS), Err(PictureRefused::Broken));
}

#[test]
fn avatar_is_a_small_square_of_any_image() {
    for kind in [PictureKind::Png, PictureKind::Jpeg, PictureKind::Gif, PictureKind::WebP] {
        for (width, height) in [(400, 300), (3, 900), (1_000, 1), (1, 1_000), (1, 1)] {
            let made = avatar(&encoded(&picture(width, height), kind), LIMITS).unwrap();
            let made = image::load_from_memory(&made).unwrap();
            assert_eq!((made.width(), made.height()), (AVATAR_SIDE, AVATAR_SIDE));
        }
    }
    // Scaled as a whole, such a strip would be a picture of ten gigabytes.
    let wide = PictureLimits { side: 10_000, memory: 8 << 20 };
    avatar(&encoded(&picture(10_000, 1), PictureKind::Png), wide).unwrap();
    let turned = avatar(&jpeg_with_exif(&picture(40, 20), 3), LIMITS).unwrap();
    assert!(!contains(&turned, SECRET));
}

#[test]
fn color_profile_is_kept_within_bounds() {
    for (length, kept) in [(500, true), (PROFILE_MAX, true), (PROFILE_MAX + 1, false)] {
        // Of no use to anyone, but what is in it is not looked at.
        let profile: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_icc_profile(profile.clone()).unwrap();
        picture(5, 5).write_with_encoder(encoder).unwrap();
        let remade = remake(&bytes, PictureKind::Png, LIMITS).unwrap();
        let mut decoder = image::codecs::png::PngDecoder::new(Cursor::new(&remade.bytes)).unwrap();
        let found = decoder.icc_profile().unwrap();
        assert_eq!(found, kept.then_some(profile), "{length}");
    }
}
