package login

// The pieces that are tested by themselves.
var (
	Step = step
	Seal = (*Sealer).seal
	Open = (*Sealer).open
)

// The limits, for tests to reach.
const (
	Window         = window
	LimitPerPair   = limitPerPair
	LimitFree      = limitFree
	LimitUnknown   = limitUnknown
	LimitPerDevice = limitPerDevice
	LimitPerSource = limitPerSource
	MaxDevices     = maxDevices
	DeviceLife     = deviceLife
)

// The bounds of ceremonies.
const (
	MaxGuesses    = maxGuesses
	MaxAllGuesses = maxAllGuesses
	MaxCeremonies = maxCeremonies
	MaxPerSource  = maxPerSource
)

// NewDeviceCode draws a code.
var NewDeviceCode = (*Login).newDeviceCode

// Kept returns how many ceremonies and sources of guesses are kept.
func (l *Login) Kept() (ceremonies, guesses int) {
	l.ceremonies.mu.Lock()
	defer l.ceremonies.mu.Unlock()
	return len(l.ceremonies.open), len(l.ceremonies.guesses)
}
