"""From files to rows: layouts, tables, archives, images, masks, and the cache of decoded images."""
