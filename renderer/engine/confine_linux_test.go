package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a sealed worker that was taken over would try. A test starts its own program again in an empty folder, which seals itself
// and tries each; a run without any seal shows that the attempts are real ones.

const (
	layerVariable = "TOWLINE_SEAL_TEST"
	victimOf      = "TOWLINE_SEAL_VICTIM"
	addressOf     = "TOWLINE_SEAL_ADDRESS"
	abstractOf    = "TOWLINE_SEAL_SOCKET"
)

// sealed is what the other run of this program reports.
type sealed struct {
	// Done is whether its layer is there; Landlock has a version.
	Done     bool
	Landlock int
	// Refused is the error of each attempt, 0 if it succeeded.
	Refused map[string]syscall.Errno
}

func init() {
	if layer := os.Getenv(layerVariable); layer != "" {
		attack(layer)
		os.Exit(0)
	}
}

// attack seals this process and tries what should not be possible; the attempt to become another program comes last.
func attack(layer string) {
	victim, _ := strconv.Atoi(os.Getenv(victimOf))
	_, portText, _ := net.SplitHostPort(os.Getenv(addressOf))
	port, _ := strconv.Atoi(portText)
	abstract := os.Getenv(abstractOf)
	echo, words := cString("/bin/echo"), cString("executed")
	arguments := [3]*byte{echo, words}

	report := sealed{Refused: map[string]syscall.Errno{}}
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	switch layer {
	case "none":
		report.Done = true
	case "seccomp":
		report.Done = filterCalls()
	case "landlock":
		report.Landlock = landlock()
		report.Done = report.Landlock > 0
	case "empty root":
		report.Done = unix.Chroot(".") == nil && unix.Chdir("/") == nil
	case "no capabilities":
		report.Done = dropCapabilities()
	case "all":
		confinement := seal(1 << 30)
		report.Done, report.Landlock = confinement.Seccomp, confinement.Landlock
	}

	try := func(what string, number uintptr, arguments ...uintptr) (uintptr, bool) {
		var six [6]uintptr
		copy(six[:], arguments)
		result, _, errno := syscall.RawSyscall6(number, six[0], six[1], six[2], six[3], six[4], six[5])
		report.Refused[what] = errno
		return result, errno == 0
	}
	passwd, here := cString("/etc/passwd"), cString("made")
	atCwd := unix.AT_FDCWD
	try("open", unix.SYS_OPENAT, uintptr(atCwd), pointer(passwd), unix.O_RDONLY)
	try("mkdir", unix.SYS_MKDIRAT, uintptr(atCwd), pointer(here), 0o700)
	try("chroot", unix.SYS_CHROOT, pointer(cString("/")))
	try("memfd", unix.SYS_MEMFD_CREATE, pointer(here), 0)
	try("io_uring", unix.SYS_IO_URING_SETUP, 1, pointer(&new([128]byte)[0]))
	try("executable memory", unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)
	try("signal", unix.SYS_KILL, uintptr(victim), 0)
	var word [8]byte
	local := unix.Iovec{Base: &word[0], Len: 8}
	try("read memory", unix.SYS_PROCESS_VM_READV, uintptr(victim), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&local)), 1)
	if _, traced := try("ptrace", unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(victim)); traced {
		_, _, _ = syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(victim), 0, 0, 0, 0)
	}
	internet := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: uint16(port>>8 | port<<8&0xff00), Addr: [4]byte{127, 0, 0, 1}}
	if socket, ok := try("connect", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); ok {
		try("connect", unix.SYS_CONNECT, socket, uintptr(unsafe.Pointer(&internet)), unix.SizeofSockaddrInet4)
	}
	unixAddress := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for index := range len(abstract) {
		unixAddress.Path[index+1] = int8(abstract[index])
	}
	if socket, ok := try("local socket", unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); ok {
		try("local socket", unix.SYS_CONNECT, socket, uintptr(unsafe.Pointer(&unixAddress)), uintptr(3+len(abstract)))
	}
	try("exec", unix.SYS_EXECVE, 0, 0, 0) // of nothing: a kernel that looks at it says EFAULT

	line, err := json.Marshal(report)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.Write(append(line, '\n'))
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, pointer(echo), uintptr(unsafe.Pointer(&arguments)), 0)
	fmt.Printf("refused %d\n", errno)
}

func cString(text string) *byte {
	text += "\x00"
	return unsafe.StringData(text)
}

func pointer(to *byte) uintptr { return uintptr(unsafe.Pointer(to)) }

// attacked is what a process with one layer could do, and whether it could become another program.
func attacked(t *testing.T, layer string) (sealed, bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abstract := "towline-seal-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(t.TempDir())
	local, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	victim := exec.Command("/bin/sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	attacker := exec.Command(self)
	attacker.Dir = t.TempDir()
	attacker.Env = []string{layerVariable + "=" + layer, victimOf + "=" + strconv.Itoa(victim.Process.Pid),
		addressOf + "=" + listener.Addr().String(), abstractOf + "=" + abstract}
	var complaints bytes.Buffer
	attacker.Stderr = &complaints
	output, err := attacker.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", layer, err, output, complaints.String())
	}
	line, rest, _ := strings.Cut(string(output), "\n")
	var report sealed
	if err := json.Unmarshal([]byte(line), &report); err != nil {
		t.Fatalf("%s: %v: %s", layer, err, output)
	}
	return report, strings.TrimSpace(rest) == "executed"
}

func refuses(t *testing.T, report sealed, attempts map[string]syscall.Errno) {
	t.Helper()
	for what, wanted := range attempts {
		if errno, tried := report.Refused[what]; !tried || errno != wanted {
			t.Errorf("%s: %v (tried: %v), want %v", what, errno, tried, wanted)
		}
	}
}

func TestWithoutASealEachAttemptSucceeds(t *testing.T) {
	report, executed := attacked(t, "none")
	for what, errno := range report.Refused {
		switch {
		case errno == 0, what == "exec" && errors.Is(errno, syscall.EFAULT):
		case what == "read memory" && errors.Is(errno, syscall.EFAULT): // allowed, and nothing is at that address
		default:
			// A container's own rules may be in the way: then that attempt proves nothing here.
			t.Logf("%s is refused even without a seal: %v", what, errno)
		}
	}
	for _, what := range []string{"open", "mkdir", "connect", "local socket", "signal", "executable memory"} {
		if errno := report.Refused[what]; errno != 0 {
			t.Errorf("%s: %v", what, errno)
		}
	}
	if !executed {
		t.Error("no program was started")
	}
}

func TestSeccompAloneRefusesAllOfIt(t *testing.T) {
	report, executed := attacked(t, "seccomp")
	if !report.Done || executed {
		t.Fatalf("%+v, executed: %v", report, executed)
	}
	for what, errno := range report.Refused {
		if !errors.Is(errno, syscall.EPERM) {
			t.Errorf("%s: %v", what, errno)
		}
	}
}

func TestLandlockAloneRefusesFilesProgramsAndWhatItsVersionKnows(t *testing.T) {
	report, executed := attacked(t, "landlock")
	if !report.Done {
		t.Skip("this kernel has no Landlock")
	}
	refuses(t, report, map[string]syscall.Errno{"open": syscall.EACCES, "mkdir": syscall.EACCES, "ptrace": syscall.EPERM, "read memory": syscall.EPERM})
	if report.Landlock >= 4 {
		refuses(t, report, map[string]syscall.Errno{"connect": syscall.EACCES})
	}
	if report.Landlock >= 6 {
		refuses(t, report, map[string]syscall.Errno{"local socket": syscall.EPERM, "signal": syscall.EPERM})
	}
	if executed {
		t.Error("it became another program")
	}
}

func TestAnEmptyRootAloneHasNoFilesAndNoPrograms(t *testing.T) {
	report, executed := attacked(t, "empty root")
	if !report.Done {
		t.Skip("changing the root is not permitted here")
	}
	refuses(t, report, map[string]syscall.Errno{"open": syscall.ENOENT})
	if executed {
		t.Error("it became another program")
	}
}

func TestWithoutCapabilitiesRootIsNobody(t *testing.T) {
	report, _ := attacked(t, "no capabilities")
	if !report.Done {
		t.Skip("capabilities can't be dropped here")
	}
	refuses(t, report, map[string]syscall.Errno{"chroot": syscall.EPERM})
}

func TestAllLayersTogetherRefuseAllOfIt(t *testing.T) {
	report, executed := attacked(t, "all")
	if executed {
		t.Error("it became another program")
	}
	if !report.Done && report.Landlock == 0 {
		t.Skip("this kernel permits neither seccomp nor Landlock")
	}
	for what, errno := range report.Refused {
		if errno == 0 {
			t.Errorf("%s succeeded", what)
		}
	}
}
