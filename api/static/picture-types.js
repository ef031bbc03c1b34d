// Written by `python -m shoebox_client.picture_types`.
export default {
 "head_bytes": 256,
 "signatures": [
  [
   "image/jpeg",
   "\\xff\\xd8\\xff"
  ],
  [
   "image/png",
   "\\x89PNG\\r\\n\\x1a\\n"
  ],
  [
   "image/gif",
   "GIF8[79]a"
  ],
  [
   "image/webp",
   "RIFF....WEBP"
  ],
  [
   "image/x-canon-cr2",
   "(?:II\\*\\x00|MM\\x00\\*)....CR"
  ],
  [
   "image/tiff",
   "II[*+]\\x00|MM\\x00[*+]"
  ],
  [
   "image/x-raw",
   "IIU\\x00|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb"
  ],
  [
   "image/bmp",
   "BM....\\x00\\x00\\x00\\x00"
  ],
  [
   "image/vnd.adobe.photoshop",
   "8BPS"
  ],
  [
   "image/jxl",
   "\\xff\\x0a|\\x00\\x00\\x00\\x0cJXL \\r\\n\\x87\\n"
  ],
  [
   "image/jp2",
   "\\x00\\x00\\x00\\x0cjP  \\r\\n\\x87\\n|\\xff\\x4f\\xff\\x51"
  ],
  [
   "image/svg+xml",
   "(?:\\xef\\xbb\\xbf)?[ \\t\\r\\n]*(?:<svg[ >\\n]|<(?:\\?xml|!--|!DOCTYPE svg).*<svg[ >\\n])"
  ],
  [
   "application/pdf",
   "%PDF-"
  ],
  [
   "application/postscript",
   "%!PS|\\xc5\\xd0\\xd3\\xc6"
  ],
  [
   "application/zip",
   "PK\\x03\\x04"
  ],
  [
   "text/html",
   "(?:\\xef\\xbb\\xbf)?[ \\t\\r\\n]*<(?:!DOCTYPE html|!doctype html|html|HTML)"
  ],
  [
   "video/quicktime",
   "\\x00...(?:moov|mdat|wide|skip|free|pnot)"
  ],
  [
   "video/x-msvideo",
   "RIFF....AVI "
  ],
  [
   "video/webm",
   "\\x1a\\x45\\xdf\\xa3"
  ]
 ],
 "brands": {
  "image/heic": [
   "heic",
   "heix",
   "heim",
   "heis",
   "hevc",
   "hevx",
   "hevm",
   "hevs"
  ],
  "image/avif": [
   "avif",
   "avis"
  ],
  "image/x-canon-cr3": [
   "crx "
  ],
  "video/quicktime": [
   "qt  "
  ],
  "video/mp4": [
   "isom",
   "iso2",
   "iso4",
   "iso5",
   "iso6",
   "mp41",
   "mp42",
   "avc1",
   "M4V ",
   "MSNV",
   "3gp4",
   "3gp5",
   "3gp6"
  ]
 },
 "any_coding": [
  "mif1",
  "mif2",
  "mif3",
  "msf1",
  "miaf"
 ],
 "heif": "image/heif",
 "endings": {
  "image/jpeg": [
   "jpg",
   "jpeg",
   "jpe",
   "jfif"
  ],
  "image/png": [
   "png"
  ],
  "image/webp": [
   "webp"
  ],
  "image/gif": [
   "gif"
  ],
  "image/heic": [
   "heic",
   "heif",
   "hif"
  ],
  "image/avif": [
   "avif"
  ],
  "image/tiff": [
   "tif",
   "tiff"
  ],
  "image/bmp": [
   "bmp",
   "dib"
  ],
  "image/vnd.adobe.photoshop": [
   "psd",
   "psb"
  ],
  "image/jxl": [
   "jxl"
  ],
  "image/jp2": [
   "jp2",
   "j2k",
   "jpx",
   "jpf"
  ],
  "image/svg+xml": [
   "svg",
   "svgz"
  ],
  "application/pdf": [
   "pdf"
  ],
  "application/postscript": [
   "eps",
   "ps",
   "ai"
  ],
  "application/zip": [
   "zip"
  ],
  "image/x-canon-cr2": [
   "cr2"
  ],
  "image/x-canon-cr3": [
   "cr3"
  ],
  "image/x-nikon-nef": [
   "nef",
   "nrw"
  ],
  "image/x-sony-arw": [
   "arw",
   "sr2"
  ],
  "image/x-adobe-dng": [
   "dng"
  ],
  "image/x-raw": [
   "raf",
   "rw2",
   "orf",
   "pef",
   "srw",
   "x3f",
   "3fr",
   "iiq"
  ],
  "video/quicktime": [
   "mov"
  ],
  "video/mp4": [
   "mp4",
   "m4v",
   "3gp"
  ],
  "video/x-msvideo": [
   "avi"
  ],
  "video/webm": [
   "webm",
   "mkv"
  ]
 },
 "raw_tiffs": [
  "image/x-adobe-dng",
  "image/x-nikon-nef",
  "image/x-raw",
  "image/x-sony-arw"
 ],
 "refused": {
  "image/tiff": [
   "TIFF",
   "save it as JPEG or PNG"
  ],
  "image/bmp": [
   "BMP",
   "save it as JPEG or PNG"
  ],
  "image/vnd.adobe.photoshop": [
   "A Photoshop file (PSD)",
   "save it as JPEG or PNG"
  ],
  "image/jxl": [
   "JPEG XL",
   "save it as JPEG or PNG"
  ],
  "image/jp2": [
   "JPEG 2000",
   "save it as JPEG or PNG"
  ],
  "image/svg+xml": [
   "SVG",
   "save it as PNG"
  ],
  "application/pdf": [
   "PDF",
   "save its pages as JPEG or PNG"
  ],
  "application/postscript": [
   "PostScript (EPS)",
   "save it as JPEG or PNG"
  ],
  "application/zip": [
   "A ZIP archive",
   "unpack it, and upload the photos in it"
  ],
  "text/html": [
   "A web page",
   "save the picture that it shows, and upload that"
  ],
  "image/x-canon-cr2": [
   "Canon RAW (CR2)",
   "export it as JPEG"
  ],
  "image/x-canon-cr3": [
   "Canon RAW (CR3)",
   "export it as JPEG"
  ],
  "image/x-nikon-nef": [
   "Nikon RAW (NEF)",
   "export it as JPEG"
  ],
  "image/x-sony-arw": [
   "Sony RAW (ARW)",
   "export it as JPEG"
  ],
  "image/x-adobe-dng": [
   "RAW (DNG)",
   "export it as JPEG"
  ],
  "image/x-raw": [
   "A camera's RAW file",
   "export it as JPEG"
  ],
  "video/quicktime": [
   "A film (MOV)",
   "save a still picture of it as JPEG"
  ],
  "video/mp4": [
   "A film (MP4)",
   "save a still picture of it as JPEG"
  ],
  "video/x-msvideo": [
   "A film (AVI)",
   "save a still picture of it as JPEG"
  ],
  "video/webm": [
   "A film (WebM, Matroska)",
   "save a still picture of it as JPEG"
  ]
 }
};
