package pages

import (
	"fmt"

	"rsc.io/qr"
)

// QR returns the QR code of a text (ISO/IEC 18004, error correction M) as rows of
// "0" and "1", dark modules "1", without the quiet zone. The enrolment page draws
// it where the answer to "begin" holds one, so that a phone can read the
// authenticator's secret off the screen.
func QR(text string) ([]string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("making a QR code: %w", err)
	}
	rows := make([]string, code.Size)
	for y := range rows {
		row := make([]byte, code.Size)
		for x := range row {
			row[x] = '0'
			if code.Black(x, y) {
				row[x] = '1'
			}
		}
		rows[y] = string(row)
	}
	return rows, nil
}
