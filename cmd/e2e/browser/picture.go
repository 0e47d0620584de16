package browser

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"slices"
)

// Small encodes a picture with a palette of its most frequent colours, which takes a
// third of the room: what is left over are edges of letters.
func Small(shot []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	seen := map[color.Color]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			seen[img.At(x, y)]++
		}
	}
	brightness := func(c color.Color) uint32 { r, g, b, _ := c.RGBA(); return r<<2 + g<<1 + b }
	palette := slices.SortedFunc(maps.Keys(seen), func(a, b color.Color) int {
		return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(brightness(a), brightness(b)))
	})
	out := image.NewPaletted(img.Bounds(), palette[:min(len(palette), 256)])
	draw.Draw(out, out.Bounds(), img, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		return nil, fmt.Errorf("writing a picture: %w", err)
	}
	return b.Bytes(), nil
}
