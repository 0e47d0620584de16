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
