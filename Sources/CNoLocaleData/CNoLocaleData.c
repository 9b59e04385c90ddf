// An empty table in place of Foundation's locale data (ICU), which would be 34 MB in each program that stores decisions: Foundation is linked
// because GRDB uses it, and nothing here asks for a locale, a calendar, a time zone's name or a collation. Whoever did would be told that there
// is no such data. Linked statically, an object's symbol comes before that of an archive, whose data then stays out.
// The form is that of ICU's own stub (source/stubdata/stubdata.cpp): a header, and a table of contents without entries.
// Where another toolchain has another ICU (the number is in the name), this does nothing but be small; packaging/test-install sees the size.
const struct {
  unsigned char bytes[64];
} __attribute__((aligned(16))) icudt76_dat = {{
    32, 0, 0xda, 0x27,   // the header's bytes, the magic number
    20, 0, 0, 0,         // the bytes of what follows of it
    0, 0, 2, 0,          // little-endian, ASCII, two bytes in a character
    'T', 'o', 'C', 'P',  // a table of contents, version 1, of no entries
    1,
}};
