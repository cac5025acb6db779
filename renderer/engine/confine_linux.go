package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Confinement is what the kernel took from this process before it read any input. It is done here and not between
// fork and exec: only a program that has started needs no file and no exec any more, so that nothing has to be left
// open for its start. Each layer stands alone; where the kernel refuses one, the others remain.
type Confinement struct {
	// Landlock is the version of its interface; 0 is without. No file, no TCP, no signal to others.
	Landlock int `json:"landlock"`
	// Seccomp leaves the system calls of a running Go program: no open, no socket, no exec, no process.
	Seccomp bool `json:"seccomp"`
	// EmptyRoot is a root folder without anything in it.
	EmptyRoot bool `json:"emptyRoot"`
	// NoCapabilities means that being root gives nothing.
	NoCapabilities bool `json:"noCapabilities"`
}

// seal gives up everything that a render doesn't need, in all threads, for good. The working folder must be empty.
func seal(addressSpace uint64) Confinement {
	if addressSpace > 0 {
		limitAddressSpace(addressSpace)
	}
	// Seccomp takes the threads' no_new_privs from the calling one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := Confinement{}
	if unix.Chroot(".") == nil && unix.Chdir("/") == nil {
		done.EmptyRoot = true
	}
	done.NoCapabilities = dropCapabilities()
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return done
	}
	done.Landlock = landlock()
	done.Seccomp = filterCalls()
	return done
}

// limitAddressSpace bounds memory hard. Go reserves before it uses: the kernel's limit of data counts what is used of a
// reservation only once it is over, so that one allocation of any size gets through it; the limit of the address space
// counts the reservation itself. What Go reserved for its own books at the start, over a gigabyte, is not memory.
func limitAddressSpace(more uint64) {
	mapped := uint64(2 << 30)
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		var pages uint64
		if _, err := fmt.Sscan(string(data), &pages); err == nil {
			mapped = pages * uint64(os.Getpagesize())
		}
	}
	limit := unix.Rlimit{Cur: mapped + more, Max: mapped + more}
	_ = unix.Setrlimit(unix.RLIMIT_AS, &limit)
}

func dropCapabilities() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	return errno == 0
}

// landlock allows nothing of what this kernel's version can deny.
func landlock() int {
	version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	var denied unix.LandlockRulesetAttr
	denied.Handled_access_fs = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	if version >= 2 {
		denied.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		denied.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		denied.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		denied.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		denied.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	rules, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&denied)), unsafe.Sizeof(denied), 0)
	if errno != 0 {
		return 0
	}
	defer unix.Close(int(rules))
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return 0
	}
	return int(version)
}

// allowed is what Go's runtime does when nothing is opened: memory, threads, clocks, signals to itself, and pipes that
// are open already. Conditions on arguments are in filter.
var allowed = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_CLOSE, unix.SYS_FCNTL, unix.SYS_PPOLL,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK, unix.SYS_MEMBARRIER,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// architectures are those that the filter knows: what the kernel calls them, and with which flags Go makes a thread.
var architectures = map[string]struct{ audit, thread uint32 }{
	"amd64": {unix.AUDIT_ARCH_X86_64, thread | unix.CLONE_SETTLS},
	"arm64": {unix.AUDIT_ARCH_AARCH64, thread},
}

const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// filterCalls makes every system call fail that isn't allowed.
func filterCalls() bool {
	program, err := bpf.Assemble(filter())
	if err != nil || len(program) == 0 {
		return false
	}
	code := make([]unix.SockFilter, len(program))
	for index, instruction := range program {
		code[index] = unix.SockFilter{Code: instruction.Op, Jt: instruction.Jt, Jf: instruction.Jf, K: instruction.K}
	}
	whole := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// A thread that can't follow is named by a positive result.
	failed, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&whole)))
	return errno == 0 && failed == 0
}

// filter is the program that the kernel runs on each system call; none for an architecture that it doesn't know.
// Numbers of another calling convention (x32) equal none of those allowed.
func filter() []bpf.Instruction {
	// Of struct seccomp_data; the kernel reads only the low half of these arguments.
	const number, architecture, arguments = 0, 4, 16
	known, ok := architectures[runtime.GOARCH]
	if !ok {
		return nil
	}
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	deny := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: architecture, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: known.audit, SkipTrue: 1},
		deny,
		bpf.LoadAbsolute{Off: number, Size: 4},
	}
	for _, call := range allowed {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: 1}, allow)
	}
	for _, call := range []struct {
		number, argument uint32
		condition        bpf.JumpTest
		value            uint32
	}{
		// Threads, no processes; signals to itself; no new code.
		{unix.SYS_CLONE, 0, bpf.JumpEqual, known.thread},
		{unix.SYS_TGKILL, 0, bpf.JumpEqual, uint32(os.Getpid())},
		{unix.SYS_MMAP, 2, bpf.JumpBitsNotSet, unix.PROT_EXEC},
		{unix.SYS_MPROTECT, 2, bpf.JumpBitsNotSet, unix.PROT_EXEC},
	} {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call.number, SkipTrue: 4},
			bpf.LoadAbsolute{Off: arguments + 8*call.argument, Size: 4},
			bpf.JumpIf{Cond: call.condition, Val: call.value, SkipFalse: 1},
			allow, deny)
	}
	return append(program, deny)
}
