/* The protocol between memory, journal, recorder, ledger and the buyers who wait, small enough to try every
 * interleaving. Names are those of the code; what a script or a transaction does in one step is one `atomic`.
 *
 * Two calls buy from a stock of two units: one carries two buyers (A wants two units, B one), the other one (C).
 * Two recorders run. Memory is flushed, or fails over to a replica that missed what came after its last sync, at
 * any moment; a recorder is killed at any moment; a call whose answer got lost is sent again under the same token,
 * as the client library does; announcements get lost.
 *
 * Each guard can be removed by a switch; `check.py` shows that spin then finds a broken promise:
 *   NO_DEADLINE NO_CAS NO_CHAIN NO_FENCE NO_EPOCH ID_ONLY TOKEN_ONLY NO_ASK LATE_REGISTER ACK_EARLY
 */

#ifndef FAULTS
#define FAULTS 1              /* times that memory is lost */
#endif
#ifndef KILLS
#define KILLS 1               /* times that a recorder is killed */
#endif
#ifndef HURRIED
#define HURRIED 0             /* times that a caller's deadline passes though the answer was on its way */
#endif
#ifndef OUTDATED_MOST
#define OUTDATED_MOST 1
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
#ifndef RECORDERS
#define RECORDERS 2
#endif
#ifndef RESENDS
#define RESENDS 0             /* times that a call is sent twice under one token */
#endif
#define ATTEMPTS (FAULTS + 3) /* how often a call may have to be decided afresh; asserted below */
#define ENTRIES 3             /* most journal entries of one epoch */
#define STOCK 2

#define A 1                   /* buyers, as bits */
#define B 2
#define C 4
#define UNITS(who) ((who) == A -> 2 : 1)

mtype = {nothing, confirmed, sold_out, refused};
mtype told_a = nothing, told_b = nothing, told_c = nothing;

typedef Memory {
  byte epoch;                 /* 0: empty */
  byte seq;
  byte base;                  /* token that the first entry of the epoch follows */
  bit fenced;
  byte fence;
  byte sold;
  byte known;                 /* buyers whose key has an order here */
  byte token[ENTRIES + 1];
  byte got[ENTRIES + 1];      /* buyers whom the entry sells to */
}
Memory m, replica;

byte l_epoch = 1, l_seq, l_token = 100, l_sold, l_orders;  /* the ledger: position, counter, rows */

/* The watermark: what was announced under a token. 0: nothing yet. */
#define TOKENS (2 * ATTEMPTS)
bit registered[TOKENS];
byte said_epoch[TOKENS], said_seq[TOKENS], said_refused[TOKENS];

byte hurried = HURRIED, kills = KILLS, resends = RESENDS, losses = FAULTS;

#ifdef NO_FENCE
#define CLOSED(floor) (m.epoch == 0 || m.epoch < floor)
#else
#define CLOSED(floor) (m.epoch == 0 || m.fenced || m.epoch < floor)
#endif

#define TOLD(who) ((who) == A -> told_a : ((who) == B -> told_b : told_c))

inline tell(who, what) {
  /* one outcome; a confirmed order is in the ledger, a refused one is not */
  assert(TOLD(who) == nothing);
  assert(what != confirmed || (l_orders & who));
  assert(what != refused || !(l_orders & who));
  if
  :: who == A -> told_a = what
  :: who == B -> told_b = what
  :: who == C -> told_c = what
  fi
}

inline copy(to, from) {
  to.epoch = from.epoch; to.seq = from.seq; to.base = from.base; to.fenced = from.fenced; to.fence = from.fence;
  to.sold = from.sold; to.known = from.known;
  to.token[1] = from.token[1]; to.token[2] = from.token[2]; to.token[3] = from.token[3];
  to.got[1] = from.got[1]; to.got[2] = from.got[2]; to.got[3] = from.got[3]
}

inline clear_journal() {
  m.seq = 0;
  m.token[1] = 0; m.token[2] = 0; m.token[3] = 0;
  m.got[1] = 0; m.got[2] = 0; m.got[3] = 0
}

/* One request of a batch, inside the script: granted, sold out, or known from before. */
inline decide(who) {
  if
  :: (asking & who) && (m.known & who) -> replayed = replayed | who
  :: (asking & who) && !(m.known & who) && m.sold + UNITS(who) <= STOCK ->
       m.sold = m.sold + UNITS(who); m.known = m.known | who; granted = granted | who
  :: (asking & who) && !(m.known & who) && m.sold + UNITS(who) > STOCK -> none = none | who
  :: else
  fi
}

#ifdef ID_ONLY   /* an ack for the id alone: whoever's entry carried it */
#define ANNOUNCED (said_any_epoch == epoch && said_any_seq >= seq && said_any_seq > 0)
byte said_any_epoch, said_any_seq;
#else
#ifdef TOKEN_ONLY
#define ANNOUNCED (said_seq[token] > 0)
#else
#define ANNOUNCED (said_epoch[token] == epoch && said_seq[token] == seq && seq > 0)
#endif
#endif

inline hear(who) {   /* the announcement of the entry */
  if
  :: (waiting & who) && (said_refused[token] & who) -> tell(who, refused); waiting = waiting & ~who
  :: (waiting & who) && !(said_refused[token] & who) -> tell(who, confirmed); waiting = waiting & ~who
  :: else
  fi
}

/* The ledger has dealt with our entry's id: what it does not have by now, it never will. */
#define PAST (l_epoch > epoch || (l_epoch == epoch && l_seq >= seq))

inline ask_ledger(who) {
  if
  :: (waiting & who) && (l_orders & who) -> tell(who, confirmed); waiting = waiting & ~who
  :: (waiting & who) && !(l_orders & who) && PAST -> lost = lost | who; waiting = waiting & ~who
  :: else
  fi
}

inline replay(who) {   /* memory knows the key: the ledger must have it, else the buyer asks again */
  if
  :: (replayed & who) && (l_orders & who) -> tell(who, confirmed)
  :: (replayed & who) && !(l_orders & who) -> asking = asking | who
  :: else
  fi
}

/* A process that asks memory for some buyers in one script call, until each has an outcome. */
proctype Caller(byte first; byte buyers) {
  byte asking = buyers, granted, none, replayed, waiting, lost, token = first, epoch, seq, floor;
again:
#ifndef LATE_REGISTER
  registered[token] = 1;
#endif
send:
  atomic {
    !CLOSED(floor) ->
    granted = 0; none = 0; replayed = 0;
    decide(A); decide(B); decide(C);
    if
    :: granted ->
         assert(m.seq < ENTRIES);
         m.seq = m.seq + 1; m.token[m.seq] = token; m.got[m.seq] = granted
    :: else
    fi;
    epoch = m.epoch; seq = m.seq; floor = m.epoch;
    if
    :: resends > 0 -> resends = resends - 1; goto send   /* the answer got lost; the same call once more */
    :: true
    fi
  }
#ifdef LATE_REGISTER
  registered[token] = 1;
#endif
  atomic {
    if :: (none & A) -> tell(A, sold_out) :: else fi;
    if :: (none & B) -> tell(B, sold_out) :: else fi;
    if :: (none & C) -> tell(C, sold_out) :: else fi;
    asking = 0; waiting = granted; lost = 0;
    replay(A); replay(B); replay(C);
#ifdef ACK_EARLY
    if :: (waiting & A) -> tell(A, confirmed) :: else fi;
    if :: (waiting & B) -> tell(B, confirmed) :: else fi;
    if :: (waiting & C) -> tell(C, confirmed) :: else fi;
    waiting = 0;
#endif
    none = 0; replayed = 0; granted = 0
  }
  do
  :: atomic { waiting && ANNOUNCED -> hear(A); hear(B); hear(C) }
#ifndef NO_ASK
  :: atomic { waiting && ((l_orders & waiting) || PAST) -> ask_ledger(A); ask_ledger(B); ask_ledger(C) }
#endif
  /* The deadline: the client asks again under the same key. At any moment a few times, and when nothing else goes on. */
  :: atomic { waiting && hurried > 0 -> hurried = hurried - 1; lost = lost | waiting; waiting = 0 }
#ifndef NO_DEADLINE
  :: atomic { waiting && timeout -> lost = lost | waiting; waiting = 0 }
#endif
  :: atomic { !waiting -> asking = asking | lost; break }
  od;
  if
  :: atomic { asking && lost -> lost = 0; epoch = 0; seq = 0;
       assert(token < first + ATTEMPTS - 1); token = token + 1; goto again }
  :: atomic { asking && !lost -> epoch = 0; seq = 0; goto send }  /* a replay writes nothing, so it needs no new token */
  :: else
  fi
}

#define PREVIOUS(at) ((at) == 1 -> m.base : m.token[(at) - 1])

#ifdef NO_CHAIN
#define FOLLOWS (m.seq > p_seq)
#define SOUND (m.epoch == p_epoch && !m.fenced && m.seq >= p_seq)
#else
#define FOLLOWS (m.seq > p_seq && PREVIOUS(p_seq + 1) == p_token)
#define SOUND (m.epoch == p_epoch && !m.fenced && m.seq >= p_seq && PREVIOUS(p_seq + 1) == p_token)
#endif

inline record(who) {   /* one row of the group; the ledger's own constraints are the last guard */
  if
  :: (e_got & who) && (l_orders & who) -> e_refused = e_refused | who            /* primary key */
  :: (e_got & who) && !(l_orders & who) && l_sold + UNITS(who) > STOCK -> e_refused = e_refused | who
  :: (e_got & who) && !(l_orders & who) && l_sold + UNITS(who) <= STOCK ->
       l_orders = l_orders | who; l_sold = l_sold + UNITS(who)
  :: else
  fi
}

inline commit() {   /* one transaction: rows, counters, position */
  atomic {
    applied = 0; e_refused = 0;
    if
#ifdef NO_CAS
    :: true ->
#else
    :: l_epoch == p_epoch && l_seq == p_seq && l_token == p_token ->
#endif
         record(A); record(B); record(C);
         p_seq = p_seq + 1; p_token = e_token;
         l_epoch = p_epoch; l_seq = p_seq; l_token = p_token; applied = 1
#ifndef NO_CAS
    :: else
#endif
    fi
  }
}

inline say() {   /* PUBLISH, which may not arrive */
  if
  :: registered[e_token] -> said_epoch[e_token] = p_epoch; said_seq[e_token] = p_seq; said_refused[e_token] = e_refused
  :: else
  fi;
#ifdef ID_ONLY
  said_any_epoch = p_epoch; said_any_seq = p_seq;
#endif
}

#define KILLED kills > 0 -> kills = kills - 1; goto restarted

/* Another recorder has rebuilt memory since this one read it. It may begin a rebuild anyway, a few times. */
#define OUTDATED (l_epoch != p_epoch || (SOUND && !e_refused))
bit rebuilding[2];
byte takeovers = (RECORDERS > 1 -> TAKEOVERS : 0);  /* of a rebuild whose builder lives, but let its lease run out */
byte outdated = (RECORDERS > 1 -> OUTDATED_MOST : 0);           /* rebuilds begun on a judgement that was out of date */

proctype Recorder(bit me) {
  byte p_epoch, p_seq, p_token, e_token, e_got, e_refused, mine;
  bit applied;
restarted:
  atomic { rebuilding[me] = 0;
    e_token = 0; e_got = 0; e_refused = 0; mine = 0; applied = 0; p_epoch = 0; p_seq = 0; p_token = 0 }
  do
  :: atomic { p_epoch = l_epoch; p_seq = l_seq; p_token = l_token; e_token = 0; e_got = 0; e_refused = 0 }
     /* look, and read the next entry */
end_idle:
     if
     :: atomic { !SOUND -> goto lost_history }
     :: atomic { SOUND && FOLLOWS -> e_token = m.token[p_seq + 1]; e_got = m.got[p_seq + 1] }
     :: atomic { SOUND && !FOLLOWS && (m.seq > p_seq || l_epoch != p_epoch || l_seq != p_seq || l_token != p_token || m.seq != p_seq) -> goto restarted }
     fi;
     if :: atomic { KILLED } :: true fi;
     commit();
     if
     :: atomic { !applied -> goto restarted }   /* overtaken */
     :: else
     fi;
     if :: atomic { KILLED } :: true fi;
     /* announce, while memory has that very entry */
     if
     :: atomic { m.epoch == p_epoch && !m.fenced && m.seq >= p_seq && m.token[p_seq] == e_token ->
          if
          :: say()
#ifndef RELIABLE
          :: true
#endif
          fi;
          if :: e_refused -> goto lost_history :: else -> goto restarted fi }
     :: else -> goto lost_history
     fi
  od;

lost_history:   /* rebuild: fence ... */
  atomic {
    if
    :: OUTDATED && outdated == 0 -> goto restarted
    :: OUTDATED && outdated > 0 -> outdated = outdated - 1
    :: !OUTDATED
    fi;
    if
    :: !rebuilding[1 - me]
    :: rebuilding[1 - me] && takeovers > 0 -> takeovers = takeovers - 1
    :: rebuilding[1 - me] && takeovers == 0 -> goto overtaken
    fi;
    rebuilding[me] = 1;
    m.fenced = 1; e_token = 0; e_got = 0; e_refused = 0; applied = 0
  }
  /* ... record what the fenced journal still has ... */
  atomic { p_epoch = l_epoch; p_seq = l_seq; p_token = l_token }
  do
  :: atomic { m.epoch == p_epoch && FOLLOWS -> e_token = m.token[p_seq + 1]; e_got = m.got[p_seq + 1] }
     commit();
     if
     :: atomic { !applied -> goto restarted }
     :: else
     fi
  :: atomic { !(m.epoch == p_epoch && FOLLOWS) -> e_token = 0; e_got = 0; e_refused = 0; applied = 0; break }
  od;
  if :: atomic { KILLED } :: true fi;
  atomic { p_epoch = l_epoch; p_seq = l_seq; p_token = l_token }
  atomic {   /* raise the epoch by compare-and-set */
    if
    :: l_epoch == p_epoch && l_seq == p_seq && l_token == p_token ->
#ifndef NO_EPOCH
         l_epoch = l_epoch + 1;
#endif
         l_seq = 0; l_token = l_token + 1; mine = l_epoch; p_token = l_token
    :: else -> goto restarted
    fi
  }
  atomic {   /* take the fence over */
    m.fenced = 1;
    if :: mine > m.fence -> m.fence = mine :: else fi;
#ifndef NO_EPOCH
    if :: m.fence != mine -> goto restarted :: else fi
#endif
  }
  if :: atomic { KILLED } :: true fi;
  atomic {   /* load */
    if
    :: m.fenced && m.fence == mine -> m.sold = l_sold; m.known = l_orders
    :: else -> goto restarted
    fi
  }
  atomic {
    if
    :: m.fenced && m.fence == mine ->
         clear_journal(); m.epoch = mine; m.base = p_token; m.fenced = 0; m.fence = 0
    :: else
    fi
  }
  goto restarted;
overtaken:
  atomic { !rebuilding[1 - me] -> goto restarted }
}

proctype Nemesis() {
  do
  :: atomic { losses > 0 -> copy(replica, m) }     /* the replica has seen so much ... */
     if
#ifndef FLUSH_ONLY
     :: atomic { losses = losses - 1; copy(m, replica) }   /* ... when it is promoted */
#endif
     :: atomic { losses = losses - 1;                      /* or everything is flushed */
          m.epoch = 0; m.base = 0; m.fenced = 0; m.fence = 0; m.sold = 0; m.known = 0; clear_journal() }
     fi
  :: true -> break
  od
}

init {
  atomic {
    m.epoch = 1; m.base = 100;
    run Caller(0, A | B);
    run Caller(ATTEMPTS, C);
    run Recorder(0);
#if RECORDERS > 1
    run Recorder(1);
#endif
    run Nemesis()
  }
}

#define DONE (told_a != nothing && told_b != nothing && told_c != nothing)
#define AGREED (m.epoch == l_epoch && !m.fenced && m.sold == l_sold && m.known == l_orders)

#ifdef SAFE
ltl never_oversold { [] (l_sold <= STOCK) }
#endif
#ifdef LIVE
ltl everybody_answered { <> [] (DONE && AGREED) }
#endif
