/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker may still do: read and write what it has open, and open UDP and TCP sockets of
 * the internet families in the host's namespace. A file, a process, another kind of socket it may
 * not.
 */
#include "dns/worker.h"

#include "base/error.h"

#include <errno.h>
#include <grp.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

/* In a user namespace that has no such user the capabilities go all the same. */
static int drop_identity(struct fl_error *err)
{
	cap_t none = cap_init();
	int r = 0;

	if (!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY))
		r = setresuid(NOBODY, NOBODY, NOBODY); /* what it does not do, the next does */
	/* The signal at the broker's death is forgotten with the identity. */
	r = !none || cap_set_proc(none) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			    prctl(PR_SET_PDEATHSIG, SIGKILL)
		    ? fl_error_errno(err, errno, FL_ECODE_PRIVILEGE, "cannot drop privileges")
		    : 0;
	cap_free(none);
	return r;
}

static const int allowed[] = {
	SCMP_SYS(read),		SCMP_SYS(write),
	SCMP_SYS(readv),	SCMP_SYS(writev),
	SCMP_SYS(pread64),	SCMP_SYS(lseek),
	SCMP_SYS(recvfrom),	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),	SCMP_SYS(sendmmsg),
	SCMP_SYS(recv),		SCMP_SYS(send),
	SCMP_SYS(connect),	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),	SCMP_SYS(close),
	SCMP_SYS(getsockopt),	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),	SCMP_SYS(getpeername),
	SCMP_SYS(epoll_wait),	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),	SCMP_SYS(poll),
	SCMP_SYS(ppoll),	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
	SCMP_SYS(munmap),	SCMP_SYS(mremap),
	SCMP_SYS(madvise),	SCMP_SYS(brk),
	SCMP_SYS(futex),	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),	SCMP_SYS(fcntl),
	SCMP_SYS(getpid),	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),		SCMP_SYS(exit_group),
};

static int add_rules(scmp_filter_ctx f)
{
	static const uint64_t families[] = { AF_INET, AF_INET6 },
			      ioctls[] = { FIONREAD, SIOCGIFINDEX };
	int r = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(allowed) && !r; i++) {
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
		if (r == -EDOM) /* this architecture has no such call */
			r = 0;
	}
	for (size_t i = 0; i < FL_ARRAY_SIZE(families) && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, families[i]));
	for (size_t i = 0; i < FL_ARRAY_SIZE(ioctls) && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	/* Memory, but none that could hold code: PROT_EXEC is 4. */
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
	return r;
}

static int filter_calls(struct fl_error *err)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? add_rules(f) : -ENOMEM;

	if (!r)
		r = seccomp_load(f);
	seccomp_release(f);
	return r ? fl_error_errno(err, r, FL_ECODE_PRIVILEGE, "cannot limit system calls (seccomp)")
		 : 0;
}

int confine(struct fl_error *err)
{
	int r = drop_identity(err);

#ifdef __SANITIZE_ADDRESS__
	return r; /* its runtime needs more calls than the program */
#endif
	return r ? r : filter_calls(err);
}
